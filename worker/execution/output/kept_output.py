"""What is kept of a script's output: the beginning, the end, and the exact count of what is missing between."""

import struct
from collections.abc import Iterator

from .frame_log import STDERR, STDOUT, Frame, FrameLog
from .output_chunk import OutputChunk, frames_from_bytes, frames_to_bytes
from .utf8_edges import MOST_SPLIT_BYTES, cut_after, cut_before, unfinished_length

#: One quarter for the beginning (what was run, with which versions), the rest for the end (where errors are).
HEAD_SHARE = 4

_VERSION = 1
_HEADER = struct.Struct("<BBIQQII")


class KeptOutput:
    """One log of both streams in order of arrival, bounded by ``limit_bytes`` however much is fed.

    While everything fits, everything is kept. After that the first quarter of the limit and the newest bytes are,
    ``dropped_bytes`` is exact, and neither edge cuts a UTF-8 character; the edges therefore may give up to three
    bytes to the dropped ones. A character that a stream wrote in two pieces is put together before it is logged,
    so the other stream never appears inside it.
    """

    __slots__ = ("_head", "_head_is_open", "_held", "_tail", "_total_by_stream", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._head = FrameLog()
        self._tail = FrameLog()
        self._head_is_open = True
        self._held = {STDOUT: b"", STDERR: b""}
        self._total_by_stream = {STDOUT: 0, STDERR: 0}

    def feed(self, stream: int, data: bytes | memoryview) -> None:
        """Take what a stream wrote next; a character that is not complete waits for its rest."""
        if self._held[stream]:
            data = self._held[stream] + bytes(data)
        unfinished = unfinished_length(data)
        self._held[stream] = bytes(data[len(data) - unfinished :])
        self._log(stream, data[: len(data) - unfinished] if unfinished else data)

    def finish(self) -> None:
        """Log the bytes that waited for the rest of a character; no rest will come."""
        for stream, data in self._held.items():
            self._log(stream, data)
            self._held[stream] = b""

    def _log(self, stream: int, data: bytes | memoryview) -> None:
        self._total_by_stream[stream] += len(data)
        if self._head_is_open:
            room = self.limit_bytes // HEAD_SHARE - len(self._head)
            if len(data) < room:
                self._head.append(stream, data)
                return
            cut = cut_before(data, room)
            self._head.append(stream, data[:cut])
            self._head_is_open = False
            data = data[cut:]
        # Three bytes more than are kept, to see whether the first one kept is inside a character.
        wanted = self._tail_limit + MOST_SPLIT_BYTES
        if len(data) >= wanted:
            self._tail.clear()
            self._tail.append(stream, data[len(data) - wanted :])
            return
        self._tail.append(stream, data)
        # Doubling before cutting makes the cost per byte constant.
        if len(self._tail) > 2 * wanted:
            self._tail.keep_last(wanted)

    @property
    def _tail_limit(self) -> int:
        return self.limit_bytes - len(self._head)

    @property
    def _tail_begin(self) -> int:
        """Return where the kept end begins inside the tail's buffer."""
        begin = len(self._tail) - self._tail_limit
        if begin <= 0:
            return 0
        first, last = self._tail.stretch_at(begin)
        return first + cut_after(self._tail.buffer[first:last], begin - first)

    @property
    def total_bytes(self) -> int:
        """How many bytes were logged, kept or not."""
        return sum(self._total_by_stream.values())

    @property
    def dropped_bytes(self) -> int:
        """How many bytes are missing between head and tail."""
        return self.total_bytes - len(self._head) - (len(self._tail) - self._tail_begin)

    @property
    def head(self) -> list[Frame]:
        """The beginning; everything, when nothing was dropped and little was written."""
        return list(self._head.frames())

    @property
    def tail(self) -> list[Frame]:
        """What is kept after the head."""
        return list(self._tail.frames(self._tail_begin))

    def frames(self) -> Iterator[Frame]:
        """Yield everything that is kept, in order of arrival; the missing part lies between head and tail."""
        yield from self._head.frames()
        yield from self._tail.frames(self._tail_begin)

    def merged(self) -> bytes:
        """Return everything kept, both streams in order of arrival."""
        return bytes(self._head.buffer) + bytes(self._tail.buffer[self._tail_begin :])

    def of_stream(self, stream: int) -> bytes:
        """Return everything kept of one stream."""
        return b"".join(data for written_by, data in self.frames() if written_by == stream)

    def newest_after(self, offset_bytes: int, most_bytes: int) -> OutputChunk:
        """Return the newest of the merged output after ``offset_bytes``, at most ``most_bytes`` and in one piece.

        What lies between, too much or no longer kept, is counted as skipped.
        """
        begin = max(offset_bytes, self.total_bytes - most_bytes)
        if self.dropped_bytes:
            begin = max(begin, self._tail_offset)
        return self._part_from(begin, offset_bytes)

    @property
    def _tail_offset(self) -> int:
        """Return where the kept end begins in the merged output."""
        return self.total_bytes - (len(self._tail) - self._tail_begin)

    def _part_from(self, begin: int, offset_bytes: int) -> OutputChunk:
        """Return everything from ``begin``, which lies in no gap, for a reader who has seen ``offset_bytes``."""
        may_move = begin > offset_bytes
        if begin < len(self._head):
            frames = [*self._head.frames(_whole(self._head, begin, may_move)), *self.tail]
        else:
            position = self._tail_begin + begin - self._tail_offset
            frames = list(self._tail.frames(_whole(self._tail, position, may_move)))
        begin = self.total_bytes - sum(len(data) for _, data in frames)
        return OutputChunk(begin, frames, begin - offset_bytes)

    def to_bytes(self) -> bytes:
        """Return everything kept with its counts, in a versioned form of little more than the bytes themselves."""
        head, tail = self.head, self.tail
        header = _HEADER.pack(
            _VERSION,
            self._head_is_open,
            self.limit_bytes,
            self._total_by_stream[STDOUT],
            self._total_by_stream[STDERR],
            len(head),
            len(tail),
        )
        return header + frames_to_bytes([*head, *tail])

    @classmethod
    def from_bytes(cls, data: bytes) -> "KeptOutput":
        """Return what ``to_bytes`` wrote.

        Raises:
            ValueError: the bytes are of another version, or cut short.
        """
        if len(data) < _HEADER.size or data[0] != _VERSION:
            raise ValueError(f"not kept output of version {_VERSION}")
        _, head_is_open, limit_bytes, stdout_total, stderr_total, head_count, tail_count = _HEADER.unpack_from(data)
        frames = frames_from_bytes(memoryview(data)[_HEADER.size :])
        if len(frames) != head_count + tail_count:
            raise ValueError("kept output is cut short")
        kept = cls(limit_bytes)
        for index, (stream, piece) in enumerate(frames):
            (kept._head if index < head_count else kept._tail).append(stream, piece)
        kept._head_is_open = bool(head_is_open)
        kept._total_by_stream = {STDOUT: stdout_total, STDERR: stderr_total}
        return kept


def _whole(log: FrameLog, position: int, may_move: bool) -> int:
    """Move a place that we chose ourselves to the next character; a place that a reader asked for stays."""
    if not may_move:
        return position
    first, last = log.stretch_at(position)
    return first + cut_after(log.buffer[first:last], position - first)
