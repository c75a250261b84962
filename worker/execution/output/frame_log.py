"""Bytes of two streams in their order of arrival, stored as one buffer and the lengths of its stretches."""

from collections.abc import Iterator

STDOUT = 1
STDERR = 2

#: What one stream wrote without the other in between.
Frame = tuple[int, bytes]


class FrameLog:
    """An ordered log that grows at its end and can be shortened at its front.

    A script that writes single bytes to both streams in turn costs one small integer per byte, not one object
    per write.
    """

    __slots__ = ("_stretches", "buffer")

    def __init__(self) -> None:
        self.buffer = bytearray()
        # length * 2 + (stream - 1): one integer, and a small one is shared by the interpreter
        self._stretches: list[int] = []

    def __len__(self) -> int:
        return len(self.buffer)

    def append(self, stream: int, data: bytes | memoryview) -> None:
        """Add what a stream wrote next."""
        if not data:
            return
        self.buffer += data
        mark = stream - 1
        if self._stretches and self._stretches[-1] & 1 == mark:
            self._stretches[-1] += len(data) * 2
        else:
            self._stretches.append(len(data) * 2 + mark)

    def clear(self) -> None:
        """Forget everything."""
        self.buffer.clear()
        self._stretches.clear()

    def keep_last(self, count: int) -> None:
        """Forget all but the last ``count`` bytes."""
        surplus = len(self.buffer) - count
        if surplus <= 0:
            return
        del self.buffer[:surplus]
        index = 0
        while surplus and self._stretches[index] >> 1 <= surplus:
            surplus -= self._stretches[index] >> 1
            index += 1
        del self._stretches[:index]
        if surplus:
            self._stretches[0] -= surplus * 2

    def stretch_at(self, position: int) -> tuple[int, int]:
        """Return begin and end of the stretch that holds the byte at ``position``."""
        begin = 0
        for stretch in self._stretches:
            end = begin + (stretch >> 1)
            if position < end:
                return begin, end
            begin = end
        return begin, begin

    def frames(self, begin: int = 0) -> Iterator[Frame]:
        """Yield what lies behind a position."""
        position = 0
        for stretch in self._stretches:
            first, end = max(position, begin), position + (stretch >> 1)
            if first < end:
                yield (stretch & 1) + 1, bytes(self.buffer[first:end])
            position = end
