"""Nothing is kept for ever: remove invocations, firings and leftovers that are older, or more, than the history kept.

Unfinished invocations, and timed ones that go on, are never removed, however old. Each turn does a bounded part of the
work and the next goes on behind it, so that a large history is walked without holding anything up.
"""

from collections.abc import Iterator, Sequence

from ..broker_config import keys
from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RecordUnreadable
from ..broker_config.functions.function_library import run_all
from ..broker_config.functions.reported import read_members_command
from ..broker_config.ledger import load_invocations, load_targets
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.settings_table import LimitSettings
from ..broker_config.timed.firing_rows import load_firings
from ..broker_config.timed.timed_invocation import server_ms
from .removal import remove_firings, remove_invocation

_DAY_MS = 86_400_000
#: Index entries looked at in one round trip.
_BATCH_COUNT = 200
#: Entries of one index looked at in one turn.
_LOOKED_AT_PER_TURN = 5_000
#: A turn ends after this long and the next goes on.
_TURN_SECONDS = 5.0
#: A timed invocation keeps this share of ``limits.history_count`` as firings, and these at least.
_FIRINGS_SHARE = 0.1
_FIRINGS_LEAST_COUNT = 10
#: Firings removed from one invocation in one go.
_FIRINGS_AT_ONCE_COUNT = 100
#: This long after its timeout, even what was taken in the last moment has run, and its result has come.
_SPARE_MS = 300_000
#: Old entries of one instance's history looked at in one go.
_DEAD_AT_ONCE_COUNT = 20

_log = logger("beat")


class Retention:
    """Removes what is old, for all beats alike."""

    def __init__(self, redis: Redis, limits: LimitSettings) -> None:
        self._redis = redis
        self._limits = limits
        self._firings_kept_count = max(_FIRINGS_LEAST_COUNT, int(limits.history_count * _FIRINGS_SHARE))
        #: How far each index was walked: the place to go on at.
        self._places: dict[str, int] = {}
        self._ends_at = 0.0

    def work(self) -> None:
        """Remove the next part.

        Raises:
            RedisUnreachable, RedisRefused: the rest is removed later.
        """
        self._ends_at = monotonic_seconds() + _TURN_SECONDS
        oldest_ms = server_ms(self._redis) - int(self._limits.history_days * _DAY_MS)
        for index in (keys.INVOCATIONS, keys.FILES):
            self._remove_invocations(index, oldest_ms)
        self._remove_firings(oldest_ms)
        self._remove_leftovers(oldest_ms)

    # Invocations

    def _remove_invocations(self, index: str, oldest_ms: int) -> None:
        place, removed_count = self._places.get(index, 0), 0
        surplus = self._redis.call("ZCARD", index) - self._limits.history_count
        for _ in range(_LOOKED_AT_PER_TURN // _BATCH_COUNT):
            found = self._redis.call("ZRANGE", index, place, place + _BATCH_COUNT - 1, "WITHSCORES")
            # The index is sorted by creation, and nothing has finished before it was made.
            if not found or (place >= surplus and float(found[1]) > oldest_ms):
                place = 0
                break
            names = [name.decode() for name in found[::2]]
            gone_count = self._remove_old(index, names, oldest_ms, surplus - place)
            removed_count += gone_count
            surplus -= gone_count
            place += len(names) - gone_count
            if monotonic_seconds() > self._ends_at:
                break
        self._places[index] = place
        if removed_count:
            _log.info("removed old invocations count=%d", removed_count)

    def _remove_old(self, index: str, invoke_ids: Sequence[str], oldest_ms: int, surplus: int) -> int:
        """Remove those that are over, and either old or among the first ``surplus``; answers how many went."""
        replies = self._redis.pipeline_or_raise(
            [("HMGET", keys.invocation(one), "created_ms", "finished_ms") for one in invoke_ids]
        )
        bare, old = [], []
        for place, (one, (made, ended)) in enumerate(zip(invoke_ids, replies, strict=True)):
            if made is None:
                # A removal was cut off before its last step.
                bare.append(one)
            elif ended and (int(ended) <= oldest_ms or place < surplus):
                old.append(one)
        if bare:
            self._redis.call("ZREM", index, *bare)
        return len(bare) + self._remove(old)

    def _remove(self, invoke_ids: Sequence[str]) -> int:
        removed_count = 0
        for invoke_id, stored in zip(invoke_ids, load_invocations(self._redis, invoke_ids), strict=True):
            if isinstance(stored, RecordUnreadable):
                _log.warning("removed an old invocation: %s", stored)
                remove_invocation(self._redis, invoke_id, None)
                removed_count += 1
            elif stored is not None and not stored.active:
                remove_invocation(self._redis, invoke_id, stored)
                removed_count += 1
            if monotonic_seconds() > self._ends_at:
                break
        return removed_count

    # Firings of timed invocations that go on

    def _remove_firings(self, oldest_ms: int) -> None:
        for names in self._walk(keys.INVOCATIONS_TIMED):
            commands: list[Command] = []
            for one in names:
                last = _FIRINGS_AT_ONCE_COUNT
                commands.append(("ZRANGE", keys.firings(one), "-inf", oldest_ms, "BYSCORE", "LIMIT", 0, last))
                commands.append(("ZRANGE", keys.firings(one), 0, -self._firings_kept_count - 1))
            replies = self._redis.pipeline_or_raise(commands)
            for number, one in enumerate(names):
                old = {int(due) for due in (*replies[2 * number], *replies[2 * number + 1])}
                due_ms = self._ended(one, sorted(old)[:_FIRINGS_AT_ONCE_COUNT]) if old else []
                if due_ms:
                    remove_firings(self._redis, one, due_ms, load_targets(self._redis, one))

    def _ended(self, invoke_id: str, due_ms: Sequence[int]) -> list[int]:
        """Those of some firings of which nothing waits or runs any more, and whose dispatch is over.

        An execution waits until the next due time for an instance that is away: of a yearly schedule for a year.
        """
        timed = self._redis.call("HMGET", keys.timed(invoke_id), "timeout_seconds", "open_due_ms")
        timeout_seconds, dispatched_ms = (int(one or 0) for one in timed)
        open_ms = server_ms(self._redis) - timeout_seconds * 1000 - _SPARE_MS
        firings = load_firings(self._redis, invoke_id, due_ms)
        kept = {dispatched_ms, *(one.due_ms for one in firings if one.deadline_ms > open_ms)}
        return [one for one in due_ms if one not in kept]

    # What no invocation leads to any more

    def _remove_leftovers(self, oldest_ms: int) -> None:
        """Remove from the instances' histories what points to rows that went by themselves."""
        for names in self._walk(keys.INSTANCES):
            found = run_all(
                self._redis,
                [
                    read_members_command(keys.instance_history(one), up_to=oldest_ms, count=_DEAD_AT_ONCE_COUNT)
                    for one in names
                ],
            )
            entries = [
                (one, member, member.decode("utf-8", "replace"))
                for one, members in zip(names, found, strict=True)
                for member in members
            ]
            rows = self._redis.pipeline_or_raise([("EXISTS", keys.execution(one, text)) for one, _, text in entries])
            dead = [entry for entry, is_there in zip(entries, rows, strict=True) if not is_there]
            if dead:
                self._redis.pipeline_or_raise([("ZREM", keys.instance_history(one), member) for one, member, _ in dead])

    def _walk(self, index: str) -> Iterator[list[str]]:
        """Batches of an index, from where the last turn stopped; at its end it begins anew."""
        for _ in range(_LOOKED_AT_PER_TURN // _BATCH_COUNT):
            place = self._places.get(index, 0)
            names = [name.decode() for name in self._redis.call("ZRANGE", index, place, place + _BATCH_COUNT - 1)]
            self._places[index] = place + len(names) if len(names) == _BATCH_COUNT else 0
            if names:
                yield names
            if len(names) < _BATCH_COUNT or monotonic_seconds() > self._ends_at:
                return
