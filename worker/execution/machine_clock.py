"""How long the machine has been up."""

import time


def uptime_ms() -> int:
    """How long the machine has been up; where only the time awake is known, that."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    return int(time.monotonic() * 1000)
