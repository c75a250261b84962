"""Redis' clock as this process can read it between two requests.

Due times are judged by Redis' clock alone. Here it is this machine's monotonic clock plus an offset, so a step of the
local wall clock changes nothing; the offset is narrowed down by every reading, and taken anew when Redis' own clock has
stepped.
"""

from ..broker_config.clock import monotonic_seconds
from ..broker_config.redis.connection import Command

#: How fast two clocks may drift apart: what is known of the offset gets so much less certain with time.
_DRIFT = 0.0002

TIME: Command = ("TIME",)


class ServerClock:
    """The largest reading that Redis' clock is certain to have reached."""

    def __init__(self) -> None:
        self._lowest = float("-inf")
        self._highest = float("inf")
        self._read_at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether Redis' clock was ever read."""
        return self._read_at > 0

    def note(self, reply: list[bytes], sent_at: float, received_at: float) -> None:
        """Learn from the reply to TIME and the monotonic moments between which Redis read its clock."""
        server = int(reply[0]) + int(reply[1]) / 1e6
        slack = _DRIFT * (received_at - self._read_at)
        lowest = max(self._lowest - slack, server - received_at)
        highest = min(self._highest + slack, server - sent_at)
        if lowest > highest:
            # Nothing that was known before fits: one of the machines' clocks was set.
            lowest, highest = server - received_at, server - sent_at
        self._lowest, self._highest, self._read_at = lowest, highest, received_at

    def now_ms(self) -> int:
        """Redis' clock now, never ahead of it; only after ``note``."""
        return int((monotonic_seconds() + self._lowest) * 1000)

    def seconds_until(self, at_ms: float) -> float:
        """Seconds from now until Redis' clock has reached a moment, 0 when it has."""
        # One millisecond is not yet over when its number appears.
        return max(0.0, at_ms / 1000 - monotonic_seconds() - self._lowest)
