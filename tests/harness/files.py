"""Read what is on disk while others write there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: A file that is larger is no file of ours.
_MOST_BYTES = 64 * 1024 * 1024


def contents_below(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    """Every regular file below some folders with what it holds; what vanishes meanwhile is left out."""
    for top in folders:
        # A folder that vanishes while we look counts as empty here; Path.rglob would raise.
        for folder, _, names in os.walk(top):
            for path in (Path(folder) / name for name in names):
                try:
                    found = path.lstat()
                    # What another user keeps to himself in a shared folder is not of this system.
                    is_readable = found.st_uid == os.geteuid() or os.access(path, os.R_OK)
                    if is_readable and stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES:
                        yield path, path.read_bytes()
                except FileNotFoundError:
                    continue
