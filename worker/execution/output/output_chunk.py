"""A stretch of the merged output, and how frames look as bytes."""

import struct
from typing import NamedTuple

from .frame_log import STDERR, STDOUT, Frame

_HEADER = struct.Struct("<QQ")
_FRAME_HEADER = struct.Struct("<BI")


class OutputChunk(NamedTuple):
    """Output at ``offset_bytes`` of both streams merged, after ``skipped_bytes`` that are not shown.

    While a script runs these are events, the newest output at most ten times a second. They stop when it ends:
    what follows the last one is in the ``ExitRecord`` alone.
    """

    offset_bytes: int
    frames: list[Frame]
    skipped_bytes: int

    @property
    def end_bytes(self) -> int:
        """Where the next chunk begins, unless it skips."""
        return self.offset_bytes + sum(len(data) for _, data in self.frames)

    def to_bytes(self) -> bytes:
        """Return the chunk as a message."""
        return _HEADER.pack(self.offset_bytes, self.skipped_bytes) + frames_to_bytes(self.frames)

    @classmethod
    def from_bytes(cls, data: bytes) -> "OutputChunk":
        """Return the chunk that ``to_bytes`` wrote."""
        offset_bytes, skipped_bytes = _HEADER.unpack_from(data)
        return cls(offset_bytes, frames_from_bytes(memoryview(data)[_HEADER.size :]), skipped_bytes)


def frames_to_bytes(frames: list[Frame]) -> bytes:
    """Return frames one after the other, each with its stream and length before it."""
    return b"".join(part for stream, data in frames for part in (_FRAME_HEADER.pack(stream, len(data)), data))


def frames_from_bytes(data: memoryview) -> list[Frame]:
    """Return the frames that ``frames_to_bytes`` wrote.

    Raises:
        ValueError: the bytes end within a frame, or name a stream that there is not.
    """
    frames: list[Frame] = []
    position = 0
    while position < len(data):
        if position + _FRAME_HEADER.size > len(data):
            raise ValueError("frames are cut short")
        stream, length = _FRAME_HEADER.unpack_from(data, position)
        position += _FRAME_HEADER.size
        if stream not in (STDOUT, STDERR) or position + length > len(data):
            raise ValueError("frames are damaged or cut short")
        frames.append((stream, bytes(data[position : position + length])))
        position += length
    return frames
