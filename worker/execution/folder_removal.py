"""Remove the folder of an execution, whatever its script has done to it."""

import contextlib
import os
import shutil
import stat
from functools import partial
from pathlib import Path

from .windows.opened_elsewhere import patiently

_PATIENCE_SECONDS = 0.5


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; one that is not there is fine.

    Raises:
        OSError: something of it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        try:
            shutil.rmtree(folder)
        except PermissionError:
            _open(folder)
            patiently(partial(shutil.rmtree, folder), _PATIENCE_SECONDS)


def _open(folder: Path) -> None:
    """Let ourselves into all folders: a script of our own user may have closed them, and they are ours.

    Windows keeps files as well that a script has made read-only.
    """
    folder.chmod(0o700)
    for name, subfolders, files in os.walk(folder):
        subfolders[:] = [one for one in subfolders if not _leads_away(Path(name, one))]
        for one in [*subfolders, *(files if os.name == "nt" else ())]:
            path = Path(name, one)
            if not _leads_away(path):
                path.chmod(0o700)


def _leads_away(path: Path) -> bool:
    """Tell whether a path is a link, or a junction, which Windows does not count as one."""
    found = path.lstat()
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_reparse_tag", 0))
