"""A clock that nobody can set and that also runs while the machine sleeps, and the times of one run by it."""

import time

from ..machine_clock import wall_clock_ms


def elapsed_clock() -> float:
    """Return seconds since boot, the time asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class RunClock:
    """Wall-clock times of one run that stay in order even when the machine's clock is set meanwhile."""

    __slots__ = ("_started_at", "started_ms")

    def __init__(self) -> None:
        self.started_ms = wall_clock_ms()
        self._started_at = elapsed_clock()

    def elapsed_seconds(self) -> float:
        """Return how long the run has lasted."""
        return elapsed_clock() - self._started_at

    def now_ms(self) -> int:
        """Return the start plus what has elapsed since."""
        return self.started_ms + int(self.elapsed_seconds() * 1000)
