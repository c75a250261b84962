"""Unfinished invocations: store the roll-up of those whose executions are over, and complete those cut off half-way.

Each turn looks at some of them, so the cost of a turn does not grow with their number. Timed invocations are here only
when they are over.
"""

from collections.abc import Sequence

import msgspec

from ..broker_config import keys
from ..broker_config.errors import RecordUnreadable
from ..broker_config.functions.function_library import run_all
from ..broker_config.functions.timed import begin_timed_command, move_timed_command
from ..broker_config.ledger import StoredInvocation, execution_states, fold, load_invocations, load_targets
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Argument
from ..broker_config.security.signing import MasterKeys
from ..broker_config.settling import settle
from ..broker_config.timed.boot_bound import unbind
from ..broker_config.timed.timed_invocation import load_timed_all, server_ms, timed_fields
from .cut_off import Completer

#: Invocations looked at in one turn, and targets.
_INVOCATIONS_PER_TURN = 100
_TARGETS_PER_TURN = 20_000
#: One that is younger may still be under way in the hands of its producer.
_CUT_OFF_AFTER_MS = 5_000
#: A timed invocation that has not begun after this long never will.
_NOT_BEGUN_AFTER_MS = 60_000

_log = logger("beat")


class Unfinished:
    """Looks at unfinished invocations in turn, for all beats alike."""

    def __init__(self, redis: Redis, master: MasterKeys | None, queue_count: int) -> None:
        self._redis = redis
        self._completer = Completer(redis, master, queue_count)
        #: The one to go on with and its score; ``None`` to begin anew.
        self._next: tuple[bytes, bytes] | None = None
        #: Those that cannot be read, and of which the log says so.
        self._told: set[str] = set()

    def work(self) -> None:
        """Look at the next few.

        Raises:
            RedisUnreachable, RedisRefused: they are looked at again.
        """
        found = self._found()
        behind = found[2 * _INVOCATIONS_PER_TURN :]
        names = [name.decode() for name in found[: 2 * _INVOCATIONS_PER_TURN : 2]]
        now_ms = server_ms(self._redis)
        targets_left = _TARGETS_PER_TURN
        for name, score, stored in zip(names, found[1::2], load_invocations(self._redis, names), strict=False):
            if targets_left <= 0:
                self._next = name.encode(), score
                return
            if stored is None:
                self._redis.call("ZREM", keys.INVOCATIONS_OPEN, name)
                continue
            if isinstance(stored, RecordUnreadable):
                self._leave(name, stored)
                continue
            targets_left -= max(1, stored.record.target_count)
            if stored.timed:
                self._look_at_timed(stored, now_ms)
            else:
                self._look_at(stored, now_ms)
        self._next = (behind[0], behind[1]) if behind else None

    def _found(self) -> list[bytes]:
        """The next few and the one behind them, each before its score.

        Very many may have the same score, made in the same millisecond: their places tell them apart.
        """
        if self._next is None:
            return self._places(0)
        name, score = self._next
        place = self._redis.call("ZRANK", keys.INVOCATIONS_OPEN, name)
        found = [] if place is None else self._places(place)
        if found and found[0] == name:
            return found
        # It is over. What has its score may be looked at twice; nothing is left out.
        return self._read(score, "+inf", "BYSCORE", "LIMIT", 0, _INVOCATIONS_PER_TURN + 1)

    def _places(self, first: int) -> list[bytes]:
        return self._read(first, first + _INVOCATIONS_PER_TURN)

    def _read(self, *stretch: Argument) -> list[bytes]:
        found: list[bytes] = self._redis.call("ZRANGE", keys.INVOCATIONS_OPEN, *stretch, "WITHSCORES")
        return found

    def _look_at(self, stored: StoredInvocation, now_ms: int) -> None:
        targets = load_targets(self._redis, stored.record.invoke_id)
        states = execution_states(self._redis, stored, targets)
        missing = [one for one, (state, _) in zip(targets, states, strict=True) if not state]
        if not missing:
            settle(self._redis, stored, fold(states))
        elif _age_ms(stored, now_ms) > _cut_off_after_ms(stored):
            self._completer.complete(stored.record, targets, missing, now_ms)

    def _look_at_timed(self, stored: StoredInvocation, now_ms: int) -> None:
        invoke_id = stored.record.invoke_id
        timed = load_timed_all(self._redis, [invoke_id])[0]
        if isinstance(timed, RecordUnreadable):
            self._leave(invoke_id, timed)
            return
        targets = load_targets(self._redis, invoke_id)
        if timed is None:
            if _age_ms(stored, now_ms) > _NOT_BEGUN_AFTER_MS:
                self._give_up(stored, targets, now_ms)
            return
        if timed.goes_on:
            self._redis.call("ZREM", keys.INVOCATIONS_OPEN, invoke_id)
        elif not timed.open_due_ms:
            states = execution_states(self._redis, msgspec.structs.replace(stored, active=False), targets)
            settle(self._redis, stored, fold(states))

    def _leave(self, invoke_id: str, unreadable: RecordUnreadable) -> None:
        """Leave one alone that cannot be read: whoever can read it goes on with it, or somebody stops it."""
        if invoke_id not in self._told:
            _log.error("cannot look at an unfinished invocation: %s", unreadable)
            self._told.add(invoke_id)

    def _give_up(self, stored: StoredInvocation, targets: Sequence[str], now_ms: int) -> None:
        """Stop a timed invocation whose producer died before it began: nobody was told that it would run."""
        invoke_id = stored.record.invoke_id
        _log.warning("stopped a timed invocation that never began invocation=%s", invoke_id)
        unbind(self._redis, invoke_id, targets)
        fields = timed_fields(stored.record, "", targets, None)
        # Together: begun and not stopped, it would count as going on for good.
        begin = begin_timed_command(invoke_id, now_ms=now_ms, due_ms=None, fields=fields)
        reason = "its producer ended before it could begin"
        run_all(self._redis, [begin, move_timed_command(invoke_id, ["active"], "stopped", reason=reason)])


def _cut_off_after_ms(stored: StoredInvocation) -> int:
    """The age from which a dispatch that is not done counts as cut off.

    What has secret values its producer alone can complete: while they are in time it is left to it, however slow.
    """
    own_ms = stored.record.deliver_within_seconds * 1000 if stored.record.secret_names else 0
    return max(own_ms, _CUT_OFF_AFTER_MS)


def _age_ms(stored: StoredInvocation, now_ms: int) -> int:
    """How long ago Redis took an invocation: its producer's clock may be hours off."""
    return now_ms - (stored.stored_ms or stored.record.created_ms)
