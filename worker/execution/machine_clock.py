"""The machine's clocks: the one on the wall, and how long it has been up."""

import time


def wall_clock_ms() -> int:
    """Return milliseconds since 1970, as the machine believes."""
    return time.time_ns() // 1_000_000


def uptime_ms() -> int:
    """How long the machine has been up; where only the time awake is known, that."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    return int(time.monotonic() * 1000)
