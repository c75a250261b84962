"""Read what is about to come due and build the commands that decide about it, ahead of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfoNotFoundError

from ..broker_config import keys
from ..broker_config.functions.firings import FiringChunk, open_firing_command
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.timed import TimedReading, read_timed_command, skip_due_command, timed_reading
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.timed.timed_invocation import Timed, read_timed
from ..broker_config.unreadable import raised, read_or_tell
from .calendars import calendar_for
from .decisions import MISSED_AFTER_MS, Fire, Policies, Skip, decide, refuse
from .firing_chunks import CHUNK_COUNT, ChunkBuilder

#: What comes due and cannot be signed here is left to a beat with the master key for this long; then it is fired
#: unsigned, and each agent that refuses that says so in its result.
_LEFT_TO_OTHERS_MS = 2_000
#: One that cannot be read is left to other beats for this long.
_UNREADABLE_SECONDS = 10.0

_log = logger("beat")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decision about one due time, as the command that takes effect only if nothing has changed."""

    timed: Timed
    due_ms: int
    #: Decide anew when it could not be sent by then.
    until_ms: int
    decision: Fire | Skip
    command: Command
    #: The first targets of a firing.
    chunk: FiringChunk | None


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A timed invocation that is left to other beats for a while."""

    invoke_id: str
    seconds: float


class Preparer:
    """Turns due times into commands."""

    def __init__(self, redis: Redis, builder: ChunkBuilder, policies: Policies) -> None:
        self._redis = redis
        self._builder = builder
        self._policies = policies

    def prepare(self, invoke_ids: Sequence[str], now_ms: int) -> list[Prepared | LeftAlone]:
        """Decide about the due times of some timed invocations as things stand now; what is over is left out.

        Raises:
            RedisUnreachable, RedisRefused: they cannot be read now.
        """
        replies = run_apart(self._redis, [read_timed_command(one, 0, CHUNK_COUNT) for one in invoke_ids])
        found: list[Prepared | LeftAlone] = []
        gone: list[str] = []
        readings = [
            read_or_tell(f"the timed invocation {one}", "", timed_reading, reply)
            for one, reply in zip(invoke_ids, replies, strict=True)
        ]
        held_keys = self._builder.key_ids(self._redis, [one for one in readings if isinstance(one, TimedReading)])
        for invoke_id, read in zip(invoke_ids, readings, strict=True):
            try:
                reading = raised(read)
                timed = read_timed(invoke_id, reading.fields)
                if timed is None or timed.due is None or not timed.goes_on:
                    gone.append(invoke_id)
                    continue
                found.append(self._prepare(timed, reading, held_keys, now_ms))
            except (ValueError, KeyError, ZoneInfoNotFoundError) as exc:
                _log.error("cannot decide about a due time invocation=%s: %s", invoke_id, exc)
                found.append(LeftAlone(invoke_id, _UNREADABLE_SECONDS))
        if gone:
            # Its hash went without this entry: somebody removed it by hand, or restored half of it.
            self._redis.call("ZREM", keys.TIMED_DUE, *gone)
        return found

    def _prepare(
        self, timed: Timed, reading: TimedReading, held_keys: Mapping[str, str], now_ms: int
    ) -> Prepared | LeftAlone:
        decision = decide(timed, lambda: calendar_for(timed), self._policies, now_ms)
        if isinstance(decision, Fire) and not self._builder.may_sign(timed.invoke_id, reading, 0):
            _log.error("nothing is signed for a timed invocation that is not sealed invocation=%s", timed.invoke_id)
            decision = refuse(decision)
        due_ms = timed.due.utc_ms if timed.due else 0
        if isinstance(decision, Fire) and self._builder.lacks_key_for(timed):
            left_ms = due_ms + _LEFT_TO_OTHERS_MS - now_ms
            if left_ms > 0:
                return LeftAlone(timed.invoke_id, left_ms / 1000)
        following = decision.following
        end_ms = max(due_ms, now_ms) + MISSED_AFTER_MS
        until_ms = min(end_ms, following.utc_ms) if following and following.utc_ms > now_ms else end_ms
        if isinstance(decision, Fire):
            chunk = self._builder.build(
                timed,
                reading,
                decision,
                held_keys,
                first_place=0,
                target_count=timed.target_count,
                pacing=self._builder.pacing_of(timed),
            )
            return Prepared(timed, due_ms, until_ms, decision, open_firing_command(chunk), chunk)
        command = skip_due_command(
            timed.invoke_id,
            decision.rows,
            revision=timed.revision,
            next_due_ms=following.utc_ms if following else 0,
            next_skipped=following.skipped if following else "",
            end_reason=decision.end_reason,
            run_due_ms=timed.run_due_ms,
        )
        return Prepared(timed, due_ms, until_ms, decision, command, None)
