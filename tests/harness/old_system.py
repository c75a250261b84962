"""A system that cannot run supervisors, for the programs that are started with ``environment``."""

from pathlib import Path

#: What an agent finds on FreeBSD, macOS, and on Linux before 5.3.
_WITHOUT_PIDFD = "import os\ndel os.pidfd_open\n"


def environment_of_old_system(folder: Path) -> dict[str, str]:
    """What to add to a program's environment, so that this system is such a one for it.

    Python runs a module of this name before any program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_WITHOUT_PIDFD, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
