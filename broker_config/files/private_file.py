"""Files that only their owner may read: keys, credentials, settings with passwords."""

import contextlib
import os
import time
from pathlib import Path

from ..clock import monotonic_seconds

if os.name == "nt":
    from . import windows_private


_PATIENCE_SECONDS = 1.0
_PAUSE_SECONDS = 0.02


def write_private_file(path: Path, content: str | bytes) -> None:
    """Write a file for its owner alone (mode 0600), in one step and for good.

    A reader sees the old content or the new, never a part. The folder must be there.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    # A file that somebody else put there in the meantime, a link even, is not opened.
    if os.name == "nt":
        descriptor = windows_private.create_private_file(fresh)
    else:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    put_in_place(fresh, path)
    force_folder_to_disk(path.parent)


def put_in_place(fresh: Path, path: Path) -> None:
    """Move a file over another in one step.

    Windows refuses that while somebody has the other one open, as a virus scanner has for a moment: it is tried again
    for a second.

    Raises:
        OSError: it cannot be done.
    """
    give_up_at = monotonic_seconds() + _PATIENCE_SECONDS
    while True:
        try:
            fresh.replace(path)
        except PermissionError:
            if os.name != "nt" or monotonic_seconds() > give_up_at:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def force_folder_to_disk(folder: Path) -> None:
    """Have a power failure not take back what was moved in a folder, where the file system can do that."""
    with contextlib.suppress(OSError):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Force a folder's own entries to disk; does nothing where a folder cannot be opened (Windows).

    Raises:
        OSError: the disk does not take them.
    """
    with contextlib.suppress(PermissionError, IsADirectoryError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_private_folder(path: Path) -> None:
    """Make a folder for its owner alone, with those above it; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if os.name == "nt":
        windows_private.make_private_folder(path)
    else:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
