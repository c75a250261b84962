"""What was ever started here: a record that is on disk before a script starts and outlives every process.

It answers one question, "was this execution ever started on this instance?", and is the second guard, beside the
ledger, against a second start: it holds when Redis was restored from a backup or a message is replayed.

One line per start, ``<execution id> <remember until ms> <crc32>``, written over a file of zeros of fixed size, so that
forcing a line to disk moves no metadata (0.13 ms instead of several). Lines are forgotten once the envelope they stand
for has expired; ``forgotten_until_ms`` remembers how far, so that a clock set back cannot revive one.
"""

import contextlib
import os
import threading
import zlib
from pathlib import Path

from ..broker_config.clock import now_ms
from ..broker_config.files.private_file import put_in_place, sync_folder
from ..broker_config.programs.program_log import logger
from .boot.boot_memory import invocation_of, is_boot_name
from .execution.disk_full import is_disk_full
from .execution.whole_write import write_whole

_HEADER = "journal-1"
#: About 2,900 starts before the file is written anew.
_SMALLEST_BYTES = 256 * 1024
#: Room kept for new lines, as a multiple of what has to be remembered.
_GROWTH = 4
#: Windows would write other bytes than it was given without the last one.
_OPEN_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_log = logger("journal")


class Journal:
    """The journal of one agent; any thread may call it."""

    def __init__(self, path: Path, *, fsync: bool) -> None:
        """Read the journal, forget what has expired, and write it anew; on a full disk go on in the file that is there.

        Raises:
            OSError: the folder cannot be written.
        """
        self._path = path
        self._fsync = fsync
        self._until_ms: dict[str, int] = {}
        self.forgotten_until_ms = 0
        self._write_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._written_count = 0
        self._synced_count = 0
        self._fd = -1
        self._room_bytes = 0
        self._size_bytes = 0
        lines_bytes = self._load()
        try:
            self._rewrite()
        except OSError as exc:
            # Who makes room comes through this agent, so it has to start without any.
            if not is_disk_full(exc) or not lines_bytes:
                raise
            self._go_on(lines_bytes)

    def knows(self, execution_id: str) -> bool:
        """Tell whether a start of this execution was recorded, and not yet forgotten."""
        return execution_id in self._until_ms

    def record_start(self, execution_id: str, remember_until_ms: int) -> bool:
        """Record that a script is about to start; false when it was recorded before.

        When this returns true, the record is on disk: a crash at any later point cannot lead to a second start.

        Raises:
            OSError: the record could not be written; the script must not be started.
        """
        if not self.begin_start(execution_id, remember_until_ms):
            return False
        self.confirm_starts()
        return True

    def begin_start(self, execution_id: str, remember_until_ms: int) -> bool:
        """Write a record and send it on its way to the disk; false when it was recorded before.

        The script may be prepared meanwhile, and must not be started before the file was forced to disk: by
        ``confirm_starts``, or by who is handed ``to_be_forced``.

        Raises:
            OSError: the record could not be written.
        """
        line = _line(f"{execution_id} {remember_until_ms}")
        with self._write_lock:
            if execution_id in self._until_ms:
                return False
            # Without an open file the last rewriting failed half-way.
            if self._fd < 0 or len(line) > self._room_bytes:
                with self._sync_lock:
                    self._rewrite()
            offset_bytes = self._size_bytes - self._room_bytes
            try:
                write_whole(self._fd, line)
            except OSError:
                # The beginning of a line that found no room must not spoil the next one.
                os.lseek(self._fd, offset_bytes, os.SEEK_SET)
                raise
            if self._fsync:
                _send_to_disk(self._fd, offset_bytes, len(line))
            self._room_bytes -= len(line)
            self._until_ms[execution_id] = remember_until_ms
            self._written_count += 1
        return True

    def to_be_forced(self) -> int | None:
        """Open the file that somebody else is to force to disk instead of ``confirm_starts``; the caller closes it.

        ``None`` where there is nothing left to force. A file that was written anew meanwhile is on disk already.

        Raises:
            OSError: it cannot be opened, or forced; nothing that was begun may be started.
        """
        if not self._fsync:
            return None
        if os.name == "nt":
            # There a file that somebody holds open cannot be written anew.
            self.confirm_starts()
            return None
        with self._write_lock:
            return os.dup(self._fd)

    def confirm_starts(self) -> None:
        """Return when every start that was begun so far is on disk; those that wait together share one write.

        Raises:
            OSError: it cannot be told; nothing that was begun may be started.
        """
        if not self._fsync:
            return
        begun_count = self._written_count
        with self._sync_lock:
            if self._synced_count >= begun_count:
                return
            written_count = self._written_count
            _datasync(self._fd)
            self._synced_count = written_count

    def close(self) -> None:
        """Close the file; twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _load(self) -> int:
        """Read what is remembered; answers the size of all whole lines."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        lines = content.rstrip(b"\0").split(b"\n")
        damaged_count = 0
        for line in lines[:-1]:
            fields = _fields(line)
            if fields is None:
                damaged_count += 1
            elif fields[0] == _HEADER:
                self.forgotten_until_ms = int(fields[1])
            else:
                self._until_ms[fields[0]] = int(fields[1])
        # The last line may be cut short by a power failure: its script was not started, for that comes after.
        if damaged_count:
            _log.warning("journal has damaged lines path=%s count=%d", self._path, damaged_count)
        return sum(len(line) + 1 for line in lines[:-1])

    def _go_on(self, lines_bytes: int) -> None:
        """Open the file as it is, to write behind its lines for as long as it has room."""
        self._fd = os.open(self._path, _OPEN_FLAGS)
        os.lseek(self._fd, lines_bytes, os.SEEK_SET)
        self._size_bytes = os.fstat(self._fd).st_size
        self._room_bytes = self._size_bytes - lines_bytes

    def _rewrite(self) -> None:
        """Write a new file without what has expired; the caller holds the locks."""
        now = now_ms()
        expired = [name for name, until_ms in self._until_ms.items() if until_ms < now]
        # No envelope of theirs expires, and they are remembered for a year: under a clock that was far ahead for a
        # moment they would have everything refused for so long.
        bound_to_boots = {invocation_of(name) for name in self._until_ms if is_boot_name(name)}
        for name in expired:
            until_ms = self._until_ms.pop(name)
            if invocation_of(name) not in bound_to_boots:
                self.forgotten_until_ms = max(self.forgotten_until_ms, until_ms)
        lines = [_line(f"{_HEADER} {self.forgotten_until_ms}")]
        lines += [_line(f"{name} {until_ms}") for name, until_ms in self._until_ms.items()]
        content = b"".join(lines)
        size_bytes = max(_SMALLEST_BYTES, _GROWTH * len(content))
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            _write_file(fresh, content.ljust(size_bytes, b"\0"), forces=self._fsync)
            # Windows renames no open file, neither the old one nor the new.
            self.close()
            put_in_place(fresh, self._path)
            fd = os.open(self._path, _OPEN_FLAGS)
        except OSError:
            with contextlib.suppress(OSError):  # a full disk has better use for that room
                fresh.unlink()
            raise
        if self._fsync:
            sync_folder(self._path.parent)
        os.lseek(fd, len(content), os.SEEK_SET)
        self._fd = fd
        self._size_bytes = size_bytes
        self._room_bytes = size_bytes - len(content)
        self._synced_count = self._written_count


def _send_to_disk(fd: int, offset_bytes: int, size_bytes: int) -> None:
    """Have the kernel begin to write these bytes; it keeps the page in memory, since they are only a part of one."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset_bytes, size_bytes, os.POSIX_FADV_DONTNEED)


def _datasync(fd: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def _write_file(path: Path, content: bytes, *, forces: bool) -> None:
    fd = os.open(path, _OPEN_FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_whole(fd, content)
        if forces:
            os.fsync(fd)
    finally:
        os.close(fd)


def _line(text: str) -> bytes:
    data = text.encode()
    return b"%s %08x\n" % (data, zlib.crc32(data))


def _fields(line: bytes) -> tuple[str, str] | None:
    data, _, crc = line.rpartition(b" ")
    if crc != b"%08x" % zlib.crc32(data):
        return None
    name, _, number = data.decode().partition(" ")
    return name, number
