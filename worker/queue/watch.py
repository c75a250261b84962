"""Notice a consumer that is connected and yet takes nothing from its queue."""

from collections.abc import Callable
from enum import Enum

from ...broker_config.clock import monotonic_seconds


class Advice(Enum):
    """What to do about the queue's consumer."""

    NOTHING = "nothing"
    #: Break its connection, so that it makes a new one.
    RECONNECT = "reconnect"
    #: That did not help: end the agent and have it started again. Scripts go on.
    RESTART = "restart"


class QueueWatch:
    """Judges from beat to beat; one thread uses it."""

    def __init__(self, patience_seconds: float, *, now: Callable[[], float] = monotonic_seconds) -> None:
        self._patience_seconds = patience_seconds
        self._now = now
        self._taken_count = -1
        self._stuck_since: float | None = None
        self._reconnected = False

    def advise(self, *, queue_count: int, has_room: bool, taken_count: int) -> Advice:
        """Judge one beat: messages waiting, whether a slot would serve another one now, messages taken so far."""
        if not queue_count or not has_room or taken_count != self._taken_count:
            self._taken_count = taken_count
            self._stuck_since = None
            self._reconnected = False
            return Advice.NOTHING
        if self._stuck_since is None:
            self._stuck_since = self._now()
        stuck_seconds = self._now() - self._stuck_since
        if stuck_seconds < self._patience_seconds:
            return Advice.NOTHING
        if not self._reconnected:
            self._reconnected = True
            return Advice.RECONNECT
        return Advice.RESTART if stuck_seconds >= 2 * self._patience_seconds else Advice.NOTHING
