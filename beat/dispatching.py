"""Firings with more targets than one call takes: go on with our own, and with those that another beat left.

A dispatch belongs to a beat for the time of a lease. Every part of it checks in Redis that the lease is still ours and
which part is next, so a beat that was frozen and comes back cannot repeat or skip anything.
"""

from collections import deque
from dataclasses import dataclass, replace

from ..broker_config import keys
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.firings import (
    FiringChunk,
    FiringPacing,
    continue_firing_command,
    firing_pacing,
    firing_pacing_command,
    firing_step,
    take_over_command,
    taken_over,
)
from ..broker_config.functions.function_library import run, run_apart
from ..broker_config.functions.timed import TimedReading, read_timed_command, timed_reading
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.schedule import DueTime
from ..broker_config.timed.timed_invocation import Timed, read_timed
from .decisions import Fire
from .firing_chunks import CHUNK_COUNT, LEASE_MS, ChunkBuilder
from .unreadable_rows import remove_strangers

#: Abandoned dispatches taken over in one go.
_TAKEN_AT_ONCE_COUNT = 10

_log = logger("beat")


@dataclass(slots=True)
class _UnderWay:
    """A dispatch of ours: what it is for, and the place of the next target."""

    #: As it was when the firing was opened, or taken over: what is changed since then holds for the next due time.
    timed: Timed
    #: Whether that was sealed by a producer with our key.
    is_checked: bool
    fire: Fire
    next_place: int
    target_count: int
    #: As it was opened with.
    pacing: FiringPacing | None


class Dispatches:
    """The dispatches of one beat."""

    def __init__(self, redis: Redis, builder: ChunkBuilder) -> None:
        self._redis = redis
        self._builder = builder
        self._ours: deque[_UnderWay] = deque()
        #: When the first lease of all beats runs out, as it was read last; 0 for none.
        self.next_ms = 0.0

    def add(self, timed: Timed, chunk: FiringChunk) -> None:
        """Go on after the first part of a firing, which is done."""
        fire = Fire(DueTime(chunk.due_ms), None, "", chunk.deadline_ms, chunk.overlap)
        self._ours.append(_UnderWay(timed, True, fire, chunk.end_place, chunk.target_count, chunk.pacing))

    def work(self, now_ms: int) -> bool:
        """Do one part of one dispatch, or take over what was left; false when there was nothing to do.

        Raises:
            RedisUnreachable, RedisRefused: what was under way is taken up again when its lease is over.
        """
        if self._ours:
            self._continue(self._ours.popleft())
            return True
        if not self.next_ms or self.next_ms >= now_ms:
            return False
        return self._take_over(now_ms)

    def forget(self) -> None:
        """Give up what is under way here; it is found by its lease."""
        self._ours.clear()

    def _continue(self, ours: _UnderWay) -> None:
        invoke_id, place = ours.timed.invoke_id, ours.next_place
        timed, reading = self._read(invoke_id, place, CHUNK_COUNT)
        if timed is None or not reading.targets:
            return
        if not self._builder.may_sign(invoke_id, reading, place):
            _log.error("nothing is signed for a timed invocation that is not sealed invocation=%s", invoke_id)
            reading = replace(reading, stopped=[True] * len(reading.targets))
        elif not ours.is_checked:
            ours.timed, ours.is_checked = timed, True
        held_keys = self._builder.key_ids(self._redis, [reading])
        chunk = self._builder.build(
            _with_content_of(ours.timed, timed),
            reading,
            ours.fire,
            held_keys,
            first_place=place,
            target_count=ours.target_count,
            pacing=ours.pacing,
        )
        step = firing_step(run(self._redis, continue_firing_command(chunk)))
        if step.word == "continued" and not step.is_done:
            ours.next_place = chunk.end_place
            self._ours.append(ours)
        elif step.word == "changed":
            # Somebody stopped some of its targets, or paused it, since this part was read: it is read again.
            self._ours.append(ours)

    def _read(self, invoke_id: str, first_place: int, count: int) -> tuple[Timed | None, TimedReading]:
        """A timed invocation with some of its targets; ``None`` for one that is gone or cannot be read."""
        [reply] = run_apart(self._redis, [read_timed_command(invoke_id, first_place, count)])
        try:
            reading = timed_reading(reply)
            return read_timed(invoke_id, reading.fields), reading
        except (ValueError, RedisRefused) as exc:
            _log.error("cannot go on with a firing invocation=%s: %s", invoke_id, exc)
            return None, TimedReading({}, [], [], [])

    def _take_over(self, now_ms: int) -> bool:
        found = self._redis.call(
            "ZRANGE", keys.TIMED_DISPATCHING, "-inf", now_ms, "BYSCORE", "LIMIT", 0, _TAKEN_AT_ONCE_COUNT
        )
        for name in found:
            invoke_id, _, due = name.decode("utf-8", "replace").partition(" ")
            if not (due.isascii() and due.isdigit()):
                remove_strangers(self._redis, keys.TIMED_DISPATCHING, [name])
                continue
            command = take_over_command(invoke_id, int(due), token=self._builder.token, lease_ms=LEASE_MS)
            place = taken_over(run(self._redis, command))
            timed, _ = self._read(invoke_id, 0, 0)
            if place is None or timed is None:
                continue
            _log.info("took over a firing invocation=%s due_ms=%s next_place=%d", invoke_id, due, place.next_place)
            fire = Fire(DueTime(int(due)), None, "", place.deadline_ms, timed.schedule.overlap)
            pacing = firing_pacing(self._redis.call(*firing_pacing_command(invoke_id, int(due))))
            self._ours.append(_UnderWay(timed, False, fire, place.next_place, place.target_count, pacing))
        return bool(found)


def _with_content_of(opened: Timed, now: Timed) -> Timed:
    """A timed invocation as it is now, with the content that its other targets were given."""
    return replace(
        now,
        digest=opened.digest,
        payload_token=opened.payload_token,
        command_id=opened.command_id,
        timeout_seconds=opened.timeout_seconds,
    )
