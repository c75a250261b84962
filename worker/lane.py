"""The lane for all that must not wait behind scripts: stop requests, heartbeats, the look at the ledger.

One thread, and one connection that waits for control messages most of the time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from ..broker_config import keys
from ..broker_config.clock import monotonic_seconds
from ..broker_config.functions.instances import Beat
from ..broker_config.messages import decode_stop
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from .backoff import Backoff, spread
from .heartbeat import Heartbeat
from .in_hand import InHand
from .link_state import REDIS_TROUBLE, LinkState
from .reconciler import MISSED_AFTER_SECONDS, Reconciler

#: Each beat comes up to a fifth earlier or later, so that a fleet does not beat in step.
_JITTER = 0.2
#: A reply that is this late means that the connection is dead.
_LATE_SECONDS = 5.0
_CLOSE_IDLE_SECONDS = 30.0
#: A turn ends at least this often, however far apart the beats are, so that a watchdog sees us live.
_TURN_SECONDS = 60.0

_log = logger("lane")


@dataclass(kw_only=True)
class Lane:
    """The lane of one agent."""

    redis: Redis
    instance_id: str
    heartbeat: Heartbeat
    reconciler: Reconciler
    in_hand: InHand
    link: LinkState
    interval_seconds: float
    #: Told of each beat, after the look at the ledger.
    on_beat: Callable[[Beat], None]
    #: Called in each turn, whether Redis is there or not: proof that this thread does not hang.
    on_turn: Callable[[], None] = lambda: None
    _stopping: threading.Event = field(default_factory=threading.Event)
    #: The second look comes soon after the first, which cannot tell a lost message from one on its way.
    _look_wanted: bool = True

    def start(self) -> None:
        """Start the thread; the first heartbeat has been made."""
        self.link.on_return(lambda _: self.look_soon())
        threading.Thread(target=self._serve, name="lane", daemon=True).start()

    def stop(self) -> None:
        """Take no more control messages."""
        self._stopping.set()

    def look_soon(self) -> None:
        """Have the ledger looked at with the next beat, whatever that one says."""
        self._look_wanted = True

    def _serve(self) -> None:
        backoff = Backoff()
        next_beat = monotonic_seconds() + MISSED_AFTER_SECONDS
        while not self._stopping.is_set():
            self.on_turn()
            try:
                if monotonic_seconds() >= next_beat or not self.link.is_up:
                    next_beat = self._beat()
                self._wait_for_control(max(0.01, min(next_beat - monotonic_seconds(), _TURN_SECONDS)))
                backoff.reset()
            except REDIS_TROUBLE as exc:
                self.link.note_failure(exc)
                self._stopping.wait(backoff.next_seconds())
            except Exception:  # noqa: BLE001  # outermost: an agent without its lane could not be stopped or seen
                _log.exception("lane failed and goes on")
                # Whatever a beat fails at, stop requests are taken before the next one.
                next_beat = monotonic_seconds() + MISSED_AFTER_SECONDS
                self._stopping.wait(backoff.next_seconds())

    def _beat(self) -> float:
        """Beat, look where there is something to look at, and return when to do so again."""
        wait_seconds = spread(self.interval_seconds, 1 - _JITTER, 1 + _JITTER)
        beat = self.heartbeat.again()
        self.link.note_success()
        if beat.open_count or self._look_wanted:
            self._look_wanted = False
            if self.reconciler.look():
                wait_seconds = min(wait_seconds, MISSED_AFTER_SECONDS)
        self.on_beat(beat)
        self.redis.close_idle(_CLOSE_IDLE_SECONDS)
        return monotonic_seconds() + wait_seconds

    def _wait_for_control(self, wait_seconds: float) -> None:
        reply = self.redis.call(
            "BLPOP",
            keys.control(self.instance_id),
            f"{wait_seconds:.3f}",
            timeout_seconds=wait_seconds + _LATE_SECONDS,
        )
        if reply is not None and not self._stopping.is_set():
            self._obey(reply[1])

    def _obey(self, message: bytes) -> None:
        try:
            execution_id = decode_stop(message).stop
        except msgspec.MsgspecError as exc:
            _log.warning("dropped a control message that cannot be read: %s", exc)
            return
        _log.info("asked to stop execution=%s", execution_id)
        if not self.in_hand.stop(execution_id):
            self.reconciler.look_at(execution_id)
