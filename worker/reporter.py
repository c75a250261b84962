"""Bring results to the ledger: at once when Redis is there, later and in order when it is not, for ever if need be.

A result that could not be delivered is forced to disk before its execution lets go, and is removed only after Redis
took it. Redis may lose its last second when it crashes (append-only file, fsync every second), so what was delivered
just before it went away is delivered again when it is back; a repeated report changes nothing.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.executions import (
    Claimed,
    Moved,
    claim_reply,
    finish,
)
from ..broker_config.functions.function_library import run
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.results import Outcome
from ..broker_config.states import ExecutionState, is_final
from .backoff import Backoff
from .claimant import Claimant
from .link_state import REDIS_TROUBLE, LinkState, concerns_all
from .spool import Spool
from .trust.key_ring import KeyRing

#: How long a follower may still read the live output of an ended execution.
_LIVE_OUTPUT_TTL_MS = 300_000
#: Results that are sent again when Redis comes back: those of the seconds that a crash of it can lose.
_RECENT_SECONDS = 10.0
_RECENT_COUNT = 64

_log = logger("reporter")


#: Tells who holds a script that its result is safe, and with True that its folder may be cleared away; answers whether
#: that is done for us.
Settle = Callable[[bool], bool]


def _leave_it_to_us(clears: bool) -> bool:
    """Stand for nobody: of an execution that has no script, or not any more."""
    return False


def _is_cleared(clears: bool) -> bool:
    """Stand for who was told before: a second clearing could meet the folder as the one of another execution."""
    return True


class _NotTaken(Exception):
    """Redis serves us, and does not take this one result now."""


@dataclass(frozen=True)
class _InMemory:
    """A result that the disk did not take."""

    outcome: Outcome = field(repr=False)
    settle: Settle


@dataclass
class _Recent:
    at_seconds: float
    execution_id: str
    outcome: Outcome = field(repr=False)


class Reporter:
    """Delivers the results of one agent; any thread may hand it one."""

    def __init__(
        self, redis: Redis, spool: Spool, link: LinkState, claimant: Claimant, *, retention_ms: int, keys: KeyRing
    ) -> None:
        self._redis = redis
        self._spool = spool
        self._link = link
        self._claimant = claimant
        self._retention_ms = retention_ms
        self._keys = keys
        self._changed = threading.Condition()
        #: Waiting results in order; the value is the result itself only where the disk did not take it.
        self._waiting: dict[str, _InMemory | None] = {}
        #: Those among them that Redis refused one by one: they hold up no other.
        self._set_aside: set[str] = set()
        self._recent: deque[_Recent] = deque(maxlen=_RECENT_COUNT)
        link.on_return(self._on_return)

    def start(self) -> None:
        """Start the thread that delivers what waits."""
        threading.Thread(target=self._serve, name="reporter", daemon=True).start()

    def flush(self, within_seconds: float) -> int:
        """Give what waits a last chance; return how many results stay on disk."""
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting, within_seconds if self._link.is_up else 0)
            return len(self._waiting)

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._waiting

    @property
    def waiting_count(self) -> int:
        """How many results wait for Redis."""
        return len(self._waiting)

    def deliver(self, execution_id: str, outcome: Outcome, settle: Settle = _leave_it_to_us) -> None:
        """Deliver a result, or put it on disk and in line; it is safe when this returns, and ``settle`` was told so."""
        if self._link.is_up and len(self._waiting) == len(self._set_aside):
            try:
                self._finish(execution_id, outcome, settle)
            except _NotTaken as exc:
                _log.warning("result is not taken and waits execution=%s: %s", execution_id, exc)
            except REDIS_TROUBLE as exc:
                self._link.note_failure(exc)
            else:
                return
        self._keep(execution_id, outcome, settle)

    def wait_in_line(self, execution_id: str) -> None:
        """Put a result that is on disk already in line."""
        with self._changed:
            self._waiting.setdefault(execution_id, None)
            self._changed.notify_all()

    def deliver_again(self, execution_id: str) -> bool:
        """Deliver once more a result that was delivered a moment ago; false when it is not known any more."""
        found = [one for one in list(self._recent) if one.execution_id == execution_id]
        for one in found[-1:]:
            self.deliver(execution_id, one.outcome, _is_cleared)
        return bool(found)

    def _keep(self, execution_id: str, outcome: Outcome, settle: Settle) -> None:
        in_memory: _InMemory | None = None
        try:
            self._spool.save(execution_id, outcome)
        except OSError as exc:
            _log.error("result cannot be put on disk and is kept in memory execution=%s: %s", execution_id, exc)
            in_memory = _InMemory(outcome, settle)
        else:
            settle(False)
        with self._changed:
            self._waiting[execution_id] = in_memory
            self._changed.notify_all()

    def _finish(self, execution_id: str, outcome: Outcome, settle: Settle) -> None:
        """Write the end into the ledger and have the folder cleared away.

        Raises:
            RedisUnreachable, RedisRefused: Redis is in no state to take anything.
            _NotTaken: it does not take this one.
        """
        try:
            current = self._move(execution_id, outcome)
        except RedisRefused as exc:
            if concerns_all(exc):
                raise
            raise _NotTaken(str(exc)) from exc
        if current == ExecutionState.PENDING:
            # Redis crashed and lost our claim: make it again, since the script did run.
            reply = claim_reply(run(self._redis, self._claimant.command(execution_id)))
            if isinstance(reply, Claimed):
                current = self._move(execution_id, outcome)
        if current and not is_final(current):
            # Too late for a new claim: the sweeper ends the row, and only then is there nothing left to say.
            raise _NotTaken(f"the row is {current} and cannot become {outcome.state}")
        if current:
            _log.debug("ledger had an end already execution=%s state=%s", execution_id, current)
        self._link.note_success()
        self._recent.append(_Recent(monotonic_seconds(), execution_id, outcome))
        try:
            if not settle(not self._spool.keeps_scripts):
                self._spool.delivered(execution_id)
        except OSError as exc:
            # Redis has the result; the next agent delivers it once more, which changes nothing.
            _log.error("the folder of a delivered execution cannot be cleared execution=%s: %s", execution_id, exc)

    def _move(self, execution_id: str, outcome: Outcome) -> str:
        """Ask for the move; return ``""`` when it was made, else the state that refused it."""
        reply = finish(
            self._redis,
            self._claimant.instance_id,
            execution_id,
            outcome.state,
            self._keys.signed(execution_id, outcome.state, outcome.fields()),
            live_output_ttl_ms=_LIVE_OUTPUT_TTL_MS,
            retention_ms=self._retention_ms,
        )
        return "" if isinstance(reply, Moved) else reply.current

    def _serve(self) -> None:
        backoff = Backoff()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            if self._deliver_waiting():
                backoff.reset()
            else:
                with self._changed:
                    self._changed.wait(backoff.next_seconds())

    def _deliver_waiting(self) -> bool:
        """Deliver in order; false when something is left."""
        for execution_id, in_memory in list(self._waiting.items()):
            try:
                self._deliver_one(execution_id, in_memory)
            except _NotTaken:
                self._set_aside.add(execution_id)
                continue
            except REDIS_TROUBLE as exc:
                self._link.note_failure(exc)
                return False
            except OSError as exc:
                # A folder that the disk does not give must not hold up the results behind it.
                if execution_id not in self._set_aside:
                    _log.error("result cannot be read from disk and waits execution=%s: %s", execution_id, exc)
                self._set_aside.add(execution_id)
                continue
            except Exception:  # noqa: BLE001  # outermost: nobody else brings what waits, whatever one of them fails at
                if execution_id not in self._set_aside:
                    _log.exception("result cannot be delivered and waits execution=%s", execution_id)
                self._set_aside.add(execution_id)
                continue
            with self._changed:
                self._waiting.pop(execution_id, None)
                self._set_aside.discard(execution_id)
                self._changed.notify_all()
        return not self._waiting

    def _deliver_one(self, execution_id: str, in_memory: _InMemory | None) -> None:
        """Deliver a result that waits; one that was damaged on disk is left to who looks at the ledger."""
        outcome = in_memory.outcome if in_memory else self._spool.load(execution_id)
        if outcome is not None:
            self._finish(execution_id, outcome, in_memory.settle if in_memory else _leave_it_to_us)
            _log.info("delivered a result that had waited execution=%s", execution_id)

    def _on_return(self, missed_seconds: float) -> None:
        with self._changed:
            lately = [one for one in list(self._recent) if one.at_seconds > missed_seconds - _RECENT_SECONDS]
            self._changed.notify_all()
        for one in lately:
            self.deliver(one.execution_id, one.outcome, _is_cleared)
