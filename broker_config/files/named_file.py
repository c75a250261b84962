"""Read a file that a person named: it may be the wrong one, a device without an end even."""

import errno
import stat
from pathlib import Path
from typing import BinaryIO

#: Far more than settings, a key or a signature have.
SMALL_MIB = 1


def read_small_file(path: Path) -> bytes:
    """All of a file, or of a pipe, that should be small.

    Raises:
        OSError: it cannot be read, or has more than a mebibyte.
    """
    most_bytes = SMALL_MIB * 1024 * 1024
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {SMALL_MIB} MiB", str(path))
    return data


def open_to_the_end(path: Path) -> BinaryIO:
    """A file, or a pipe, that is to be read to its end, however far that is.

    Raises:
        OSError: it cannot be read, or is a device, which may have no end.
    """
    # Looked at first: to open a device may already do something.
    if stat.S_ISCHR(path.stat().st_mode):
        raise OSError(errno.ENODEV, "it is a device and no file", str(path))
    return path.open("rb")
