"""Lines of a paced invocation or firing that are done take over what waits in the others (``pacing.py``).

Without this an instance that takes long would hold up all that stand behind it, while other lines have nothing left to
do. What waits at the end of a line is put behind the end of one that is done, so there are always as many lines, and
never do more run at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..broker_config import keys
from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.followers import follow_another_command, followers_key
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.ids import execution_id
from ..broker_config.ledger import StoredInvocation, load_invocations, load_targets
from ..broker_config.pacing import Neighbours, lines
from ..broker_config.records import Pacing
from ..broker_config.redis.client import Redis
from ..broker_config.states import ExecutionState, is_final
from ..broker_config.timed.firing_rows import FiringStatus

#: An invocation is looked at this often, and less often when it has many lines.
_EVERY_SECONDS = 0.25
_EVERY_SECONDS_PER_LINE = 0.001
#: Invocations and firings whose lines are remembered.
_REMEMBERED_COUNT = 16
#: How many that never ran are stepped over to find what the end of a line waits for; with more, the line is left alone.
_STEPS_COUNT = 10


@dataclass(slots=True)
class _Paced:
    """An invocation that runs once (``firing_ms`` 0), or one firing of another, as it was dispatched."""

    invoke_id: str
    firing_ms: int
    #: In the order of its targets.
    neighbours: Mapping[str, Neighbours]
    lines_count: int
    #: When to look at it again.
    next_at: float = 0.0


class IdleLines:
    """Gives idle lines something to do, for all beats alike."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._remembered: dict[tuple[str, int], _Paced] = {}

    def fill(self, firings: Iterable[tuple[str, int]]) -> None:
        """Look at invocations, or firings of them, in which something waits.

        Raises:
            RedisUnreachable, RedisRefused: nothing is lost, they are looked at again.
        """
        for firing in firings:
            paced = self._remembered.get(firing) or self._remember(firing)
            now = monotonic_seconds()
            if paced and paced.next_at <= now:
                paced.next_at = now + max(_EVERY_SECONDS, paced.lines_count * _EVERY_SECONDS_PER_LINE)
                self._fill(paced)

    def _remember(self, firing: tuple[str, int]) -> _Paced | None:
        targets, at_once_count = self._fired(*firing) if firing[1] else self._dispatched(firing[0])
        if not at_once_count:
            return None
        while len(self._remembered) >= _REMEMBERED_COUNT:
            self._remembered.pop(next(iter(self._remembered)))
        pacing = Pacing(at_once_count=at_once_count)
        paced = self._remembered[firing] = _Paced(*firing, lines(targets, pacing), at_once_count)
        return paced

    def _dispatched(self, invoke_id: str) -> tuple[list[str], int]:
        """Who was in the lines of an invocation that runs once, and how many lines; 0 for none."""
        [stored] = load_invocations(self._redis, [invoke_id])
        pacing = stored.record.pacing if isinstance(stored, StoredInvocation) else None
        return (load_targets(self._redis, invoke_id), pacing.at_once_count) if pacing else ([], 0)

    def _fired(self, invoke_id: str, firing_ms: int) -> tuple[list[str], int]:
        """The same of a firing; its lines still grow while it is dispatched."""
        status, at_once_count = self._redis.call("HMGET", keys.firing(invoke_id, firing_ms), "status", "at_once_count")
        if status != FiringStatus.FIRED.encode() or not at_once_count:
            return [], 0
        line = self._redis.call("LRANGE", keys.firing_line(invoke_id, firing_ms), 0, -1)
        return [one.decode() for one in line], int(at_once_count)

    def _fill(self, paced: _Paced) -> None:
        neighbours = paced.neighbours
        reply = self._redis.call("HGETALL", followers_key(paced.invoke_id, paced.firing_ms))
        names = [name.decode() for name in reply]
        followers = dict(zip(names[::2], names[1::2], strict=True))
        ends = [one for one, (_, after) in neighbours.items() if not followers.get(one, after)]
        before = {one: first.before for one, first in neighbours.items()}
        before |= {after: one for one, after in followers.items() if after}
        idle, waiting = self._look_at(paced, ends, before)
        moves = [
            follow_another_command(
                paced.invoke_id, paced.firing_ms, one, before=before[one], ended=ended, neighbours=neighbours
            )
            for one, ended in zip(waiting, idle, strict=False)
        ]
        run_apart(self._redis, moves)

    def _look_at(self, paced: _Paced, ends: Sequence[str], before: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The ends of lines that have nothing to do, and of each other line the last instance that waits, if one does.

        Whoever never ran says nothing of his line: the one before him may be running, or waiting himself.
        """
        idle, waiting = set(), {}
        looked_at = {end: end for end in ends}
        for _ in range(_STEPS_COUNT):
            behind = {}
            rows = self._rows(paced, list(looked_at.values()))
            for (end, one), (state, claimed_ms) in zip(looked_at.items(), rows, strict=True):
                if state == ExecutionState.SCHEDULED:
                    waiting[end] = one
                elif is_final(state) and (claimed_ms or not before[one]):
                    idle.add(end)
                elif is_final(state):
                    behind[end] = before[one]
            if not behind:
                break
            looked_at = behind
        return [one for one in ends if one in idle], [waiting[one] for one in ends if one in waiting]

    def _rows(self, paced: _Paced, instance_ids: Sequence[str]) -> list[tuple[str, str]]:
        """State and moment of the claim; empty where a row is missing or its agent has spoiled it."""
        rows = [keys.execution(one, execution_id(paced.invoke_id, paced.firing_ms, one)) for one in instance_ids]
        replies = run_apart(self._redis, [read_fields_command(row, "state", "claimed_ms") for row in rows])
        return [("", "") if isinstance(reply, RedisRefused) else _texts(reply) for reply in replies]


def _texts(row: Sequence[bytes | None]) -> tuple[str, str]:
    state, claimed_ms = ((part or b"").decode("utf-8", "replace") for part in row)
    return state, claimed_ms
