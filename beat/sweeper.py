"""Give executions that are past their deadline the final state and the reason that they are owed.

The deadlines in the index are those from the executions' creation; each row has its own present one, and the function
that settles checks it, together with the state, at the moment of writing. A result is never overwritten.
"""

from collections.abc import Sequence

from ..broker_config import keys
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.executions import settle_lost_command, settled
from ..broker_config.functions.firings import trim_queue_command
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.ledger import connected
from ..broker_config.overdue import lost_reason
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.states import UNFINISHED
from ..broker_config.timed.timed_invocation import server_ms
from .unreadable_rows import executions_named, put_off

#: Executions looked at in one go, and how often in one turn: a burst is spread over several turns.
_BATCH_COUNT = 500
_BATCHES_PER_TURN = 20
#: Messages looked at in one queue in one go.
_TRIMMED_COUNT = 1_000

_log = logger("beat")


class Sweeper:
    """Looks at overdue executions, for all beats alike."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def work(self) -> None:
        """Settle what is overdue now, up to a bound.

        Raises:
            RedisUnreachable, RedisRefused: the rest is settled later.
        """
        now_ms = server_ms(self._redis)
        for _ in range(_BATCHES_PER_TURN):
            found = self._redis.call("ZRANGE", keys.DEADLINES, "-inf", now_ms - 1, "BYSCORE", "LIMIT", 0, _BATCH_COUNT)
            if found:
                self._settle(found)
            if len(found) < _BATCH_COUNT:
                return

    def _settle(self, names: Sequence[bytes]) -> None:
        due = [one[:2] for one in executions_named(self._redis, keys.DEADLINES, names)]
        found = run_apart(
            self._redis, [read_fields_command(keys.execution(*one), "state", "claimed_ms") for one in due]
        )
        self._put_off([(*one, row) for one, row in zip(due, found, strict=True) if isinstance(row, RedisRefused)])
        due = [one for one, row in zip(due, found, strict=True) if not isinstance(row, RedisRefused)]
        rows = [row for row in found if not isinstance(row, RedisRefused)]
        states = [(row[0] or b"").decode("utf-8", "replace") for row in rows]
        alive = connected(
            self._redis,
            [instance_id for (instance_id, _), state in zip(due, states, strict=True) if state in UNFINISHED],
        )
        commands = []
        for (instance_id, execution_id), state in zip(due, states, strict=True):
            code, info = lost_reason(state, connected=instance_id in alive)
            commands.append(
                settle_lost_command(instance_id, execution_id, seen=state, error_code=code.value, error_info=info)
            )
        replies = run_apart(self._redis, commands)
        self._put_off(
            [(*one, reply) for one, reply in zip(due, replies, strict=True) if isinstance(reply, RedisRefused)]
        )
        lost = [
            execution_id
            for (_, execution_id), reply in zip(due, replies, strict=True)
            if not isinstance(reply, RedisRefused) and settled(reply)
        ]
        if lost:
            _log.info("settled overdue executions count=%d first=%s", len(lost), lost[0])
        never_taken = {one[0] for one, row in zip(due, rows, strict=True) if not row[1]}
        trim_queues(self._redis, sorted(never_taken))

    def _put_off(self, unreadable: Sequence[tuple[str, str, RedisRefused]]) -> None:
        put_off(self._redis, keys.DEADLINES, unreadable, what_for="settle an overdue execution")


def trim_queues(redis: Redis, instance_ids: Sequence[str]) -> None:
    """Remove messages from the queues of some instances whose executions are over."""
    # A queue that its agent has replaced by something else has no messages to remove.
    run_apart(redis, [trim_queue_command(one, _TRIMMED_COUNT) for one in instance_ids])
