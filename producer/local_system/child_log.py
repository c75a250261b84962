"""The log file of a child program: the child writes into it by itself, we read it and keep it bounded."""

import os
import shutil
from pathlib import Path

#: One file; one older one is kept beside it.
LIMIT_BYTES = 10 * 1024 * 1024
_READ_BYTES = 64 * 1024


class ChildLog:
    """A file that a child has open as its stdout and stderr.

    A pipe through us would be bounded more exactly, and would take the program down with us, or freeze it when we
    are frozen.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._run_starts_at = 0

    def open(self) -> int:
        """Open it for a new run of the child; the caller closes the descriptor."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._run_starts_at = os.fstat(descriptor).st_size
        return descriptor

    def this_run(self) -> str:
        """What the present run has written, at most its last 64 KiB; nothing once somebody has removed the file."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return ""
        with file:
            end = file.seek(0, os.SEEK_END)
            start = self._run_starts_at if self._run_starts_at <= end else 0
            file.seek(max(start, end - _READ_BYTES))
            return file.read(_READ_BYTES).decode("utf-8", "replace")

    def last_lines(self, count: int) -> list[str]:
        """The last lines of the present run, without blank ones."""
        lines = [line.rstrip() for line in self.this_run().splitlines()]
        return [line for line in lines if line][-count:]

    def keep_bounded(self) -> None:
        """Move the content to the older file once there is too much of it.

        The child's descriptor stays valid because it appends; a line that it writes between the copy and the cut is
        lost, which a log of this kind can bear. So is all of it where the disk has no room for the copy.

        Raises:
            OSError: the log cannot be cut; it is tried again with the next call.
        """
        try:
            if self.path.stat().st_size <= self._limit_bytes:
                return
        except FileNotFoundError:
            # Somebody removed it; the next run of the child makes another.
            return
        older = self.path.with_name(self.path.name + ".1")
        try:
            shutil.copy2(self.path, older)
        except OSError:
            older.unlink(missing_ok=True)
        os.truncate(self.path, 0)
        self._run_starts_at = 0
