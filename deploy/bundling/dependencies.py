"""Collect the agent and what it imports: the pinned versions of requirements.txt, without what only others use."""

import compileall
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import interpreter

#: Used by Celery's own command line, or when C code is compiled; the agent has neither.
_LEFT_OUT = ("prompt_toolkit", "wcwidth", "click_repl", "click_plugins", "click_didyoumean*", "pycparser", "bin")
_FOLDERS = ("broker_config", "producer", "worker", "beat")
#: The control side stays at home.
_CONTROL_SIDE = ("producer", "beat")


def collect(folder: Path, repository: Path, scratch: Path) -> None:
    """Install the agent's requirements and our two folders into ``folder``."""
    source = scratch / "source"
    source.mkdir()
    for name in _FOLDERS:
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(repository / name, source / name)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    constraints = ["--constraint", str(repository / "requirements.txt")]
    subprocess.run([*command, *constraints, "--target", str(folder), str(source)], check=True)
    for name in _CONTROL_SIDE:
        shutil.rmtree(folder / "cloud_assistant" / name)
    for pattern in _LEFT_OUT:
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    for path in [*folder.rglob("*.pyi"), *folder.rglob("direct_url.json")]:
        path.unlink()
    for path in folder.rglob("*.so"):
        interpreter.strip(path)


def compile_all(root: Path) -> None:
    """Compile everything, so that files and times of the installed tree never matter and nothing is written there."""
    for path in [*root.rglob("__pycache__")]:
        shutil.rmtree(path)
    ok = compileall.compile_dir(
        root / "lib",
        quiet=1,
        maxlevels=20,
        workers=0,
        stripdir=str(root),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not ok:
        raise SystemExit("bundle: something did not compile, see above")
