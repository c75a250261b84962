"""Fire what comes due: look ahead, prepare, send at the moment, plan the one after, sleep.

Any number of beats do this at once. What one has decided takes effect only if the due time is still the one to be
decided about, so nothing here is locked and nothing is lost when a beat dies: the others look at the same due times.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from ..broker_config import keys
from ..broker_config.chunks import chunks
from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.firings import firing_step
from ..broker_config.functions.function_library import OF_ONE_COMMAND, run_all
from ..broker_config.functions.timed import plan_ahead_command
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.schedule import DueTime
from ..broker_config.timed.timed_invocation import Timed, next_due
from .calendars import calendar_for
from .dispatching import Dispatches
from .preparing import LeftAlone, Prepared, Preparer
from .releasing import Releases
from .server_clock import TIME, ServerClock
from .unreadable_rows import remove_strangers
from .wakeups import Wakeups

#: What comes due within this time is read and prepared before it is due.
_AHEAD_MS = 1_000
#: Due times looked at in one go: bounds what is kept in memory however many schedules there are.
_WINDOW_COUNT = 2_000
#: Due times prepared before it is looked again whether one is due.
_PREPARED_AT_ONCE_COUNT = 100
#: Decisions sent in one go.
_SENT_AT_ONCE_COUNT = 50
#: Plans made before it is looked again whether something is due.
_PLANNED_AT_ONCE_COUNT = 20
#: The longest sleep: Redis' clock is read again, in case somebody set it.
_LONGEST_SLEEP_SECONDS = 1.0
#: A timed invocation of which Redis refuses every decision is left to other beats for this long.
_REFUSED_SECONDS = 10.0
#: One that was changed under our hands is left alone for this long: others are at work on it.
_CHANGED_SECONDS = 0.05

_log = logger("beat")


@dataclass(frozen=True, slots=True)
class _View:
    """What one look at Redis found."""

    #: Invocations with their due times, the earliest first, as far as the window goes.
    soon: dict[str, int]
    #: The first due time behind the window, 0 for none.
    later_ms: float


class DueLoop:
    """One beat's work on due times. One thread uses it."""

    def __init__(self, redis: Redis, preparer: Preparer, dispatches: Dispatches, releases: Releases) -> None:
        self._redis = redis
        self._preparer = preparer
        self._dispatches = dispatches
        self._releases = releases
        self._clock = ServerClock()
        self._wakeups = Wakeups(redis)
        self._prepared: dict[str, Prepared] = {}
        # A plan saves time and no more. A beat that has no time for it drops the oldest ones.
        self._to_plan: deque[tuple[Timed, DueTime]] = deque(maxlen=_WINDOW_COUNT)
        self._avoided: dict[str, float] = {}

    def turn(self) -> None:
        """Do what is due, prepare and plan a little; sleep when there is nothing to do.

        Raises:
            RedisUnreachable, RedisRefused: Redis is not there; ``reset`` before the next turn.
        """
        self._wakeups.listen()
        if not self._clock.is_known:
            self._read_clock()
        is_busy = self._send()
        view = self._look()
        is_busy |= self._prepare(view)
        is_busy |= self._releases.work(self._clock.now_ms())
        is_busy |= self._dispatches.work(self._clock.now_ms())
        if not is_busy and not self._plan():
            self._wakeups.wait(min(_LONGEST_SLEEP_SECONDS, self._seconds_to_sleep(view)))

    def reset(self) -> None:
        """Forget what was prepared and listened to, after Redis was away."""
        self._prepared.clear()
        self._to_plan.clear()
        self._dispatches.forget()
        self._wakeups.close()

    def close(self) -> None:
        """Stop listening."""
        self._wakeups.close()

    # Looking ahead

    def _read_clock(self) -> None:
        sent_at = monotonic_seconds()
        self._clock.note(self._redis.call(*TIME), sent_at, monotonic_seconds())

    def _look(self) -> _View:
        horizon_ms = self._clock.now_ms() + _AHEAD_MS
        sent_at = monotonic_seconds()
        time, soon, later, waiting, dispatching = self._redis.pipeline_or_raise(
            [
                TIME,
                ("ZRANGE", keys.TIMED_DUE, "-inf", horizon_ms, "BYSCORE", "LIMIT", 0, _WINDOW_COUNT, "WITHSCORES"),
                ("ZRANGE", keys.TIMED_DUE, f"({horizon_ms}", "+inf", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES"),
                ("ZRANGE", keys.TIMED_WAITING, 0, 0, "WITHSCORES"),
                ("ZRANGE", keys.TIMED_DISPATCHING, 0, 0, "WITHSCORES"),
            ]
        )
        self._clock.note(time, sent_at, monotonic_seconds())
        self._releases.next_ms = _score(waiting)
        self._dispatches.next_ms = _score(dispatching)
        self._forget_avoided()
        due: dict[str, int] = {}
        strangers: list[bytes] = []
        for name, score in zip(soon[::2], soon[1::2], strict=True):
            try:
                due[name.decode()] = int(float(score))
            except (UnicodeDecodeError, OverflowError):
                strangers.append(name)
        remove_strangers(self._redis, keys.TIMED_DUE, strangers)
        self._prepared = {one: ready for one, ready in self._prepared.items() if due.get(one) == ready.due_ms}
        return _View({one: at for one, at in due.items() if one not in self._avoided}, _score(later))

    def _prepare(self, view: _View) -> bool:
        missing = [one for one in view.soon if one not in self._prepared][:_PREPARED_AT_ONCE_COUNT]
        for ready in self._preparer.prepare(missing, self._clock.now_ms()) if missing else ():
            if isinstance(ready, LeftAlone):
                self._avoid(ready.invoke_id, ready.seconds)
            else:
                self._prepared[ready.timed.invoke_id] = ready
        return bool(missing)

    def _seconds_to_sleep(self, view: _View) -> float:
        moments = [self._releases.next_ms, self._dispatches.next_ms, *(one.due_ms for one in self._prepared.values())]
        if view.later_ms:
            moments.append(view.later_ms - _AHEAD_MS)
        now = monotonic_seconds()
        waits = [self._clock.seconds_until(at_ms) for at_ms in moments if at_ms]
        waits += [max(0.0, until - now) for until in self._avoided.values()]
        return min(waits, default=_LONGEST_SLEEP_SECONDS)

    # At the due time

    def _send(self) -> bool:
        """Send the decisions whose time has come, the earliest first."""
        now_ms = self._clock.now_ms()
        ready = sorted((one for one in self._prepared.values() if one.due_ms <= now_ms), key=lambda one: one.due_ms)
        for batch in chunks(ready, _SENT_AT_ONCE_COUNT):
            now_ms = self._clock.now_ms()
            for one in batch:
                del self._prepared[one.timed.invoke_id]
            fresh = [one for one in batch if now_ms < one.until_ms]
            self._decide(fresh)
        return bool(ready)

    def _decide(self, batch: Sequence[Prepared]) -> None:
        try:
            replies = run_all(self._redis, [one.command for one in batch])
        except RedisRefused as exc:
            if exc.kind not in OF_ONE_COMMAND:
                raise
            if len(batch) == 1:
                _log.error("Redis refuses a decision invocation=%s: %s", batch[0].timed.invoke_id, exc)
                self._avoid(batch[0].timed.invoke_id, _REFUSED_SECONDS)
                return
            # One of them must not hold up the others; those that took effect find their due time changed.
            for one in batch:
                self._decide([one])
            return
        for one, reply in zip(batch, replies, strict=True):
            self._note_reply(one, reply)

    def _note_reply(self, sent: Prepared, reply: list[Any]) -> None:
        word = reply[0]
        if word == b"early":
            # Redis' clock was put back since it was read; it is read again before the next try.
            self._prepared[sent.timed.invoke_id] = sent
            return
        if word not in (b"opened", b"skipped"):
            # Another beat was first, or somebody changed it: what is there now is read after a moment.
            self._avoid(sent.timed.invoke_id, _CHANGED_SECONDS)
            return
        if sent.decision.following is not None:
            self._to_plan.append((sent.timed, sent.decision.following))
        if sent.chunk is not None and not firing_step(reply).is_done:
            self._dispatches.add(sent.timed, sent.chunk)

    # Afterwards

    def _plan(self) -> bool:
        """Compute for some that were decided about which due time comes after their next one."""
        commands: list[Command] = []
        while self._to_plan and len(commands) < _PLANNED_AT_ONCE_COUNT:
            timed, due = self._to_plan.popleft()
            try:
                following = next_due(calendar_for(timed), timed.schedule, due.utc_ms)
            except (ValueError, ZoneInfoNotFoundError) as exc:
                _log.error("cannot plan ahead invocation=%s: %s", timed.invoke_id, exc)
                continue
            next_ms, skipped = (following.utc_ms, following.skipped) if following else (0, "")
            commands.append(plan_ahead_command(timed.invoke_id, due.utc_ms, timed.revision, next_ms, skipped))
        if commands:
            run_all(self._redis, commands)
        return bool(commands)

    # Those to leave alone

    def _avoid(self, invoke_id: str, seconds: float) -> None:
        self._avoided[invoke_id] = monotonic_seconds() + seconds

    def _forget_avoided(self) -> None:
        now = monotonic_seconds()
        self._avoided = {one: until for one, until in self._avoided.items() if until > now}


def _score(reply: Sequence[bytes]) -> float:
    return float(reply[1]) if reply else 0.0
