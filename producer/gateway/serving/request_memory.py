"""How many bytes of requests all connections together may hold before anybody knows who sends them."""

from collections.abc import Callable


class RequestMemory:
    """A limited number of bytes, for the event loop's thread only.

    Counted is what has come of a request until it is answered. When that is too much, the request that has been coming
    for the longest is given up: an honest client sends its own within moments, and what has come whole is answered.
    """

    def __init__(self, limit_bytes: int, note: Callable[[], None] = lambda: None) -> None:
        """Keep to a limit; ``note`` is called for each request that is given up."""
        self._limit_bytes = limit_bytes
        self._note = note
        self._held_bytes = 0
        #: Those still coming, in the order in which they began.
        self._coming: dict[RequestPart, None] = {}

    def part(self, give_up: Callable[[], None]) -> "RequestPart":
        """Begin to count for one request, or connection; ``give_up`` has to let go of all that it holds."""
        return RequestPart(self, give_up)

    def hold(self, part: "RequestPart", size_bytes: int, *, is_coming: bool) -> None:
        """Take over what a part holds now, and give up what began first while there is too much."""
        self._count(part, size_bytes, is_coming=is_coming)
        while self._held_bytes > self._limit_bytes and self._coming:
            oldest = next(iter(self._coming))
            self._count(oldest, 0, is_coming=False)
            self._note()
            oldest.give_up()

    def _count(self, part: "RequestPart", size_bytes: int, *, is_coming: bool) -> None:
        self._held_bytes += size_bytes - part.size_bytes
        part.size_bytes = size_bytes
        if is_coming:
            self._coming.setdefault(part)
        else:
            self._coming.pop(part, None)


class RequestPart:
    """What is held for one request, or of what one connection has sent."""

    __slots__ = ("_memory", "give_up", "size_bytes")

    def __init__(self, memory: RequestMemory, give_up: Callable[[], None]) -> None:
        self._memory = memory
        self.give_up = give_up
        self.size_bytes = 0

    def hold(self, size_bytes: int, *, is_coming: bool) -> None:
        """Say how much is held now, and whether more of the same request is awaited."""
        self._memory.hold(self, size_bytes, is_coming=is_coming)

    def release(self) -> None:
        """Hold nothing any more."""
        self._memory.hold(self, 0, is_coming=False)
