"""Wait longer after each failure, each agent a little differently, so that a fleet does not return all at once."""

from random import Random

#: One of our own: the module's is everybody's, and a thread that draws from it disturbs whoever has seeded it.
_random = Random()

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 5.0
_FACTOR = 2.0


class Backoff:
    """How long to wait before the next try."""

    def __init__(self, *, first_seconds: float = _FIRST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._next_seconds = first_seconds

    def next_seconds(self) -> float:
        """Return the wait after one more failure: doubled each time, jittered by half."""
        base = self._next_seconds
        self._next_seconds = min(base * _FACTOR, _LONGEST_SECONDS)
        return spread(base, 0.5, 1.0)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._next_seconds = self._first_seconds


def spread(seconds: float, least: float, most: float) -> float:
    """Multiply a time by a factor that is drawn anew each time."""
    return seconds * _random.uniform(least, most)
