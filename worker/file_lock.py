"""Lock an open file against other processes: the kernel takes the lock back however its holder ends."""

import os
import time
from pathlib import Path


def open_to_lock(path: Path) -> int:
    """Open a file that is to be locked, and make it where there is none.

    Raises:
        OSError: it can be neither.
    """
    # Windows would write other bytes than it was given without the last one.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


if os.name == "nt":
    import msvcrt

    #: Windows knows no wait for a lock that has no end.
    _PAUSE_SECONDS = 0.1

    def take_lock(fd: int) -> bool:
        """Take the lock of an open file; false when another process has it. It is held until the file is closed."""
        try:
            # Far behind the content, which others may still read.
            os.lseek(fd, 1 << 20, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True

    def wait_for_lock(fd: int) -> None:
        """Take the lock of an open file as soon as nobody else has it."""
        while not take_lock(fd):
            time.sleep(_PAUSE_SECONDS)
else:
    import fcntl

    # Not flock(): that one would live on in the supervisors, which inherit descriptors and outlive the agent.

    def take_lock(fd: int) -> bool:
        """Take the lock of an open file; false when another process has it. It is held until the file is closed."""
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def wait_for_lock(fd: int) -> None:
        """Take the lock of an open file as soon as nobody else has it."""
        fcntl.lockf(fd, fcntl.LOCK_EX)
