"""Emptied folders, kept for the next executions: to rename one costs a sixth of removing it and making another."""
# Every script passes here: paths as strings.
# ruff: noqa: PTH103, PTH104, PTH119

import os
import shutil
import stat
from collections import deque

#: As many as slots usually are; what goes beyond is removed.
_MOST_COUNT = 16
#: Nobody but the agent's user can ever have been in such a folder.
_PRIVATE_MODE = 0o700


class SpareFolders:
    """Folders without use, on the disk of the folders they came from. Any thread may take and keep."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._spares: deque[str] = deque()

    def make(self) -> None:
        """Make the root where needed, and remove what an earlier agent has left there.

        Raises:
            OSError: it cannot be made.
        """
        os.makedirs(self._root, mode=_PRIVATE_MODE, exist_ok=True)
        for entry in os.scandir(self._root):
            shutil.rmtree(entry.path, ignore_errors=True)

    def take(self, path: str) -> None:
        """Put an empty private folder at ``path``; where none is left, or something is there, nothing changes."""
        try:
            spare = self._spares.popleft()
        except IndexError:
            return
        try:
            os.rename(spare, path)
        except OSError:
            # Whoever makes the folder in the ordinary way finds out what is wrong with that place.
            shutil.rmtree(spare, ignore_errors=True)

    def keep(self, path: str) -> bool:
        """Take a folder that was just emptied; false when others could have been in it, or enough are kept."""
        if len(self._spares) >= _MOST_COUNT:
            return False
        try:
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) != _PRIVATE_MODE:
                return False
            spare = f"{self._root}/{os.path.basename(path)}"
            os.rename(path, spare)
        except OSError:
            return False
        self._spares.append(spare)
        return True
