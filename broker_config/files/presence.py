"""Whether something is there, told alike by every Python.

``Path.exists`` and its like raise for what this user may not look at or the disk does not give, and since Python 3.14
take both for absent. Where absent means "never ran", "no key" or "nobody's", that is not the same.
"""

import errno
import stat
from pathlib import Path

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def is_there(path: Path) -> bool:
    """Tell whether there is anything at a path, links followed.

    Raises:
        OSError: that cannot be told.
    """
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Tell whether there is an ordinary file, links followed.

    Raises:
        OSError: that cannot be told.
    """
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder, links followed.

    Raises:
        OSError: that cannot be told.
    """
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError as exc:
        if exc.errno in _ABSENT:
            return None
        raise
