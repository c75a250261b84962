"""Executions that wait: for their own moment (jitter), or for the end of the one before them.

That one is the last of the same instance (overlap policies), or stands before it in its line (``pacing.py``).
"""

from collections.abc import Sequence

from ..broker_config import keys
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.executions import request_stop_command
from ..broker_config.functions.firings import release_command, wants_previous_stopped
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.ids import split_execution_id
from ..broker_config.messages import decode_envelope
from ..broker_config.redis_client import Redis
from ..broker_config.redis_connection import Command
from ..broker_config.task_message import fill, template
from .unreadable_rows import put_off

#: Waiting executions looked at in one go.
_BATCH_COUNT = 200
#: How soon an execution whose predecessor goes on is looked at again.
_RECHECK_MS = 250


class Releases:
    """Lets waiting executions go, for all beats alike."""

    def __init__(self, redis: Redis, *, token: str, queue_count: int, confirm_ms: int) -> None:
        self._redis = redis
        self._origin = f"cloud-assistant@{token}"
        self._queue_count = queue_count
        self._confirm_ms = confirm_ms
        #: When the first waiting execution is to be looked at, as it was read last; 0 for none.
        self.next_ms = 0.0

    def work(self, now_ms: int) -> bool:
        """Look at what is to be looked at; false when there is nothing.

        Raises:
            RedisUnreachable, RedisRefused: nothing is lost, they are looked at again.
        """
        if not self.next_ms or self.next_ms > now_ms:
            return False
        found = self._redis.call("ZRANGE", keys.TIMED_WAITING, "-inf", now_ms, "BYSCORE", "LIMIT", 0, _BATCH_COUNT)
        names = [name.decode() for name in found]
        # With very many waiting, each look takes longer: look less often.
        self._look_at(names, recheck_ms=_RECHECK_MS * (1 + len(names) // 50))
        return len(names) == _BATCH_COUNT

    def _look_at(self, execution_ids: Sequence[str], *, recheck_ms: int) -> None:
        waiting = [(parts[2], one) for one in execution_ids if (parts := split_execution_id(one))]
        if not waiting:
            return
        rows = run_apart(
            self._redis, [read_fields_command(keys.execution(*one), "waits_for", "envelope") for one in waiting]
        )
        commands: list[Command] = []
        readable: list[tuple[str, str, str]] = []
        unreadable: list[tuple[str, str, Exception]] = []
        for (instance_id, execution_id), row in zip(waiting, rows, strict=True):
            try:
                waits_for, token = _read(row)
            except (RedisRefused, ValueError) as exc:
                unreadable.append((instance_id, execution_id, exc))
                continue
            readable.append((instance_id, execution_id, waits_for))
            commands.append(
                release_command(
                    instance_id,
                    execution_id,
                    fill(template(token, self._origin), execution_id),
                    waits_for=waits_for,
                    recheck_ms=recheck_ms,
                    queue_count=self._queue_count,
                )
            )
        stops = []
        for (instance_id, execution_id, waits_for), reply in zip(
            readable, run_apart(self._redis, commands), strict=True
        ):
            if isinstance(reply, RedisRefused):
                unreadable.append((instance_id, execution_id, reply))
            elif wants_previous_stopped(reply) and waits_for.endswith(f"@{instance_id}"):
                # No other's: an agent could write into its row what it wants to see stopped.
                stops.append((instance_id, waits_for))
        put_off(self._redis, keys.TIMED_WAITING, unreadable, what_for="let an execution go")
        self._stop(stops)

    def _stop(self, executions: Sequence[tuple[str, str]]) -> None:
        """Ask for the end of executions that others wait for; those that were asked before are left alone."""
        if not executions:
            return
        states = run_apart(self._redis, [read_fields_command(keys.execution(*one), "state") for one in executions])
        commands = [
            request_stop_command(*one, confirm_ms=self._confirm_ms)
            for one, state in zip(executions, states, strict=True)
            if state in ([b"Running"], [b"Pending"], [b"Scheduled"])
        ]
        run_apart(self._redis, commands)


def _read(row: list[bytes | None] | RedisRefused) -> tuple[str, str]:
    """What an execution waits for, and the name of its work order.

    Raises:
        RedisRefused: the row cannot be read at all. ValueError: what stands in it was not written by a beat.
    """
    if isinstance(row, RedisRefused):
        raise row
    waits_for, envelope = (part or b"" for part in row)
    if waits_for and split_execution_id(waits_for.decode()) is None:
        raise ValueError(f"{waits_for[:80]!r} is no execution to wait for")
    return waits_for.decode(), decode_envelope(envelope).payload_token if envelope else ""
