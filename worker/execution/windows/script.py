"""What a script looks like to Windows: bytes, command line and environment; pure.

Run under Wine, never on a real Windows; the forms follow Microsoft's documentation of cmd.exe and powershell.exe.
"""

import ntpath
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from ..not_started import EXECUTION_EXCEPTION, NotStarted
from ..script import Script

UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
EXTENSIONS = {"RunBatScript": ".bat", "RunPowerShellScript": ".ps1"}
_SHELLS = {".cmd": "RunBatScript", **{extension: kind for kind, extension in EXTENSIONS.items()}}
_SHELL_PROGRAMS = frozenset({"cmd", "powershell", "pwsh"})

#: A script that begins so has decided itself whether its commands are printed.
_ECHO_COMMAND = re.compile(rb"\s*@?\s*echo[ \t]+(?:on|off)[ \t]*(?:[\r\n&|<>)]|\Z)", re.IGNORECASE)
_LINE_END = re.compile(rb"\r?\n")
#: No AutoRun commands of the registry; of the rest nothing but the outermost quotes is taken away.
_BATCH_OPTIONS = ["/d", "/s", "/c"]
#: What programs on Windows cannot start without, or find themselves by; everything else of the agent stays away.
_INHERITED_NAMES = (
    *("SystemRoot", "SystemDrive", "windir", "ComSpec", "PATH", "PATHEXT", "TEMP", "TMP"),
    *("USERPROFILE", "USERNAME", "USERDOMAIN", "APPDATA", "LOCALAPPDATA", "ProgramData", "ProgramFiles"),
    *("ProgramFiles(x86)", "ProgramW6432", "CommonProgramFiles", "PSModulePath", "NUMBER_OF_PROCESSORS"),
    *("PROCESSOR_ARCHITECTURE", "COMPUTERNAME", "OS", "PUBLIC", "ALLUSERSPROFILE"),
)


def windows_content(shell: str, content: bytes, values: Iterable[str] = ()) -> bytes:
    """Return the bytes to put on disk, for the shell of this type of script; what no shell reads is left as it is.

    Both kinds get CR LF line ends. PowerShell 5 takes a file without byte order mark for the machine's old code
    page, so it gets one unless it can only be of that; UTF-16, as its own tools write, has its own. cmd.exe cannot
    read past such a mark, takes the file line by line in the current code page, and prints every command unless told
    not to. It writes the ``values`` of variables in that code page too: what is not in it would become question marks,
    and a secret in other bytes than UTF-8 would not be masked.
    """
    content = content.removeprefix(UTF8_MARK)
    if not shell:
        return content
    if shell == "RunPowerShellScript" and content.startswith(_UTF16_MARKS):
        return content
    content = _LINE_END.sub(b"\r\n", content)
    if shell == "RunPowerShellScript":
        return UTF8_MARK + content if _is_utf8(content) else content
    lines = b"" if _ECHO_COMMAND.match(content) else b"@echo off\r\n"
    is_ascii = content.isascii() and all(value.isascii() for value in values)
    if not is_ascii and _is_utf8(content):
        lines += b"@chcp 65001>nul\r\n"
    return lines + content


def shell_of(script_type: str, launcher: Sequence[str], extension: str) -> str:
    """Return the type of the scripts that are read as this one will be; blank where its launcher is no shell.

    An ``extension`` that the launcher asks for tells, else the programs that it names.
    """
    if extension:
        return _SHELLS.get(extension.lower(), "")
    names = {ntpath.splitext(ntpath.basename(word))[0].lower() for word in launcher}
    return script_type if not launcher or names & _SHELL_PROGRAMS else ""


def windows_arguments(script_type: str, path: str, *, system_root: str) -> list[str]:
    """Return the program and arguments that run a script file.

    cmd.exe without the AutoRun commands of the registry; PowerShell without profiles and questions, and with an
    execution policy for this process alone: the machine's own is not touched.
    """
    system = ntpath.join(system_root, "System32")
    if script_type == "RunBatScript":
        return [ntpath.join(system, "cmd.exe"), *_BATCH_OPTIONS, path]
    powershell = ntpath.join(system, "WindowsPowerShell", "v1.0", "powershell.exe")
    return [powershell, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", path]


def windows_command_line(arguments: Sequence[str]) -> str:
    """Join a program and its arguments as the program will part them again.

    cmd.exe does that by rules of its own: a path with ``&``, ``(`` or ``,`` in it falls to pieces unless it stands in
    quotes that are left to it.
    """
    if arguments[1:-1] == _BATCH_OPTIONS:
        return f'{subprocess.list2cmdline(arguments[:-1])} ""{arguments[-1]}""'
    return subprocess.list2cmdline(arguments)


def split_windows_command_line(text: str) -> list[str]:
    """Split a launcher into words: quotes group, and a backslash is a path separator, never an escape.

    Raises:
        NotStarted: a quote is never closed.
    """
    try:
        words = shlex.split(text, posix=False)
    except ValueError as exc:
        raise NotStarted(EXECUTION_EXCEPTION, f"the launcher {text!r} cannot be split into words: {exc}") from exc
    return [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word for word in words]


def windows_environment(script: Script, inherited: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str]:
    """Return the script's environment: what Windows needs, the script's own variables, the facts of the invocation.

    Windows knows a name whatever its case, so a later one replaces an earlier one that differs in case only.
    """
    known = {name.upper(): value for name, value in inherited.items()}
    wanted = {name: known[name.upper()] for name in _INHERITED_NAMES if name.upper() in known}
    variables: dict[str, tuple[str, str]] = {}
    for name, value in [*wanted.items(), *script.environment.items(), *facts.items()]:
        variables[name.upper()] = (name, value)
    return dict(variables.values())


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
