"""Files that only their owner may read: keys, credentials, settings with passwords."""

import os
from pathlib import Path

if os.name == "nt":
    from . import windows_private


def write_private_file(path: Path, content: str | bytes) -> None:
    """Write a file for its owner alone (mode 0600), in one step and for good.

    A reader sees the old content or the new, never a part. The folder must be there.

    Raises OSError: it cannot be written; what was there before is untouched.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    # A file that somebody else put there in the meantime, a link even, is not opened.
    if os.name == "nt":
        descriptor = windows_private.create_private_file(fresh)
    else:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def make_private_folder(path: Path) -> None:
    """Make a folder for its owner alone, with those above it; one that is there stays as it is.

    Raises OSError: it cannot be made.
    """
    if os.name == "nt":
        windows_private.make_private_folder(path)
    else:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
