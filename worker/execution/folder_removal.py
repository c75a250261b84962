"""Remove the folder of an execution, whatever its script has done to it."""

import contextlib
import os
import shutil
from pathlib import Path


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
            shutil.rmtree(folder)


def _open(folder: Path) -> None:
    """Let ourselves into all folders: a script of our own user may have closed them, and they are ours."""
    folder.chmod(0o700)
    for name, subfolders, _ in os.walk(folder):
        for one in subfolders:
            path = Path(name, one)
            if not path.is_symlink():
                path.chmod(0o700)
