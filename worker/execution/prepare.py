"""Turn a script into a plan: everything that can be refused without starting anything is refused here."""
# Every script passes here: paths as strings save a tenth of a millisecond.
# ruff: noqa: PTH100, PTH112, PTH116

import os
import stat
from pathlib import Path

from .account import Account, account_of
from .environment import clean_environment
from .interpreter import find_program, interpreter_arguments, launcher_arguments, launcher_extension
from .machine_clock import wall_clock_ms
from .not_started import COMMAND_NOT_APPLICABLE, DIRECTORY_NOT_EXISTS, NotStarted
from .output.masking import patterns_of
from .plan import Credentials, Plan
from .script import Script
from .shell_content import UTF8_MARK, clean_shell_content

_EXTENSIONS = {"RunShellScript": ".sh", "RunPowerShellScript": ".ps1"}
#: pwsh reads the machine's and the user's profile otherwise, and may wait for answers that nobody gives.
_POWERSHELL_OPTIONS = ["-NoProfile", "-NonInteractive", "-File"]


def prepare(script: Script, folder: Path | str) -> Plan:
    """Check the script against this machine, and return the plan to run it; nothing is written.

    ``folder`` is to be the private folder of this execution; its parent must exist. A working directory that only the
    script's own user can judge (a path behind permissions) is judged by the supervisor, with the same error code.

    Raises:
        NotStarted: the script cannot run here.
    """
    own_folder = os.path.abspath(folder)
    account = account_of(script.username)
    _check_script_type(script)
    environment = clean_environment(script, account, now_ms=wall_clock_ms())
    working_directory, notes = _working_directory(script, account)
    content, content_notes = _content_to_write(script)
    extension = (launcher_extension(script.launcher) if script.launcher else "") or _EXTENSIONS[script.script_type]
    path = f"{own_folder}/script{extension}"
    arguments = _arguments(script, content, path, environment["PATH"])
    return Plan(
        execution_id=script.execution_id,
        folder=own_folder,
        arguments=arguments,
        script_path=path,
        content=content,
        environment=environment,
        working_directory=working_directory,
        working_directory_is_default=not script.working_directory,
        credentials=None if account.is_own else Credentials(account.name, account.uid, account.gid, account.group_ids),
        timeout_seconds=script.timeout_seconds,
        grace_seconds=script.grace_seconds,
        drain_seconds=script.drain_seconds,
        kills_tree=script.termination_mode == "ProcessTree",
        output_limit_bytes=script.output_limit_bytes,
        keep_script=script.keep_script,
        masked=patterns_of(script.secrets.values()),
        notes=[*notes, *content_notes],
    )


def _check_script_type(script: Script) -> None:
    if script.script_type not in _EXTENSIONS:
        raise NotStarted(
            COMMAND_NOT_APPLICABLE,
            f"{script.script_type} needs Windows and this instance runs {os.uname().sysname}; use RunShellScript",
        )


def _content_to_write(script: Script) -> tuple[bytes, list[str]]:
    if script.script_type == "RunShellScript":
        return clean_shell_content(script.content)
    return script.content.removeprefix(UTF8_MARK), []


def _arguments(script: Script, content: bytes, script_path: str, search_path: str) -> list[str]:
    if script.launcher:
        return launcher_arguments(script.launcher, script_path, search_path=search_path)
    if script.script_type == "RunPowerShellScript":
        return [_powershell(search_path), *_POWERSHELL_OPTIONS, script_path]
    return [*interpreter_arguments(content, search_path=search_path), script_path]


def _powershell(search_path: str) -> str:
    try:
        return find_program("pwsh", search_path, said_by="RunPowerShellScript")
    except NotStarted as exc:
        raise NotStarted(
            COMMAND_NOT_APPLICABLE,
            "RunPowerShellScript needs Windows or PowerShell 7, and no pwsh is on this instance; install it",
        ) from exc


def _working_directory(script: Script, account: Account) -> tuple[str, list[str]]:
    wanted = script.working_directory
    if not wanted:
        if os.path.isdir(account.home):
            return account.home, []
        return "/", [f"the home {account.home} of {account.name} does not exist: the script ran in /"]
    if not wanted.startswith("/") or "\0" in wanted:
        raise NotStarted(DIRECTORY_NOT_EXISTS, f"working directory {wanted!r} is not an absolute path")
    if problem := _directory_problem(wanted, account):
        raise NotStarted(DIRECTORY_NOT_EXISTS, f"working directory {wanted!r} {problem}; create it or name another")
    return wanted, []


def _directory_problem(path: str, account: Account) -> str:
    """Say what is wrong with a directory, or an empty string."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        # Root may be locked out of a network folder that its user may enter: the supervisor, as that user, decides.
        return f"may not be seen by {account.name}" if account.is_own else ""
    except OSError as exc:
        return "does not exist" if isinstance(exc, FileNotFoundError) else f"cannot be used: {exc.strerror}"
    if not stat.S_ISDIR(mode):
        return "is not a directory"
    if account.is_own and not os.access(path, os.X_OK, effective_ids=True):
        return f"may not be entered by {account.name}"
    return ""
