"""How long a client is waited for that takes a reply slowly: a least rate, with room for pauses."""

#: A client may take nothing for this long.
STALLED_SECONDS = 60.0
#: What it has to take on the average.
LEAST_BYTES_PER_SECOND = 10_000


class ClientPatience:
    """The time one connection has left: it passes while bytes wait for the client, and each byte taken adds some.

    Whoever keeps to the least rate is waited for without end, pauses of up to ``STALLED_SECONDS`` included; to take
    much at once saves up no more than that. Times are those of any clock that never goes back.
    """

    __slots__ = ("_left_seconds", "_seen_at_seconds", "_taken_bytes")

    def __init__(self) -> None:
        self._left_seconds = STALLED_SECONDS
        self._taken_bytes = 0
        self._seen_at_seconds = 0.0

    def begin(self, taken_bytes: int, now_seconds: float) -> float:
        """Let the time pass from now on; ``taken_bytes`` is all that was ever taken. Answers how much time is left."""
        # What went without any waiting counts too: the kernel takes much at once, and then nothing for a while.
        self._seen_at_seconds = now_seconds
        return self.look(taken_bytes, now_seconds)

    def look(self, taken_bytes: int, now_seconds: float) -> float:
        """Add what was taken since the last look, subtract the time that passed; answers how much is left, or 0."""
        earned_seconds = (taken_bytes - self._taken_bytes) / LEAST_BYTES_PER_SECOND
        left_seconds = self._left_seconds + earned_seconds - (now_seconds - self._seen_at_seconds)
        self._left_seconds = min(STALLED_SECONDS, max(0.0, left_seconds))
        self._taken_bytes = taken_bytes
        self._seen_at_seconds = now_seconds
        return self._left_seconds
