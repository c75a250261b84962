"""Executions that wait: for their own moment (jitter), or for the end of the one before them.

That one is the last of the same instance (overlap policies), or stands before it in its line (``pacing.py``).
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..broker_config import keys
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.executions import request_stop_command
from ..broker_config.functions.firings import release_command, still_waits, wants_previous_stopped
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.ids import split_execution_id
from ..broker_config.messages import decode_envelope
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.task_message import fill, template
from .idle_lines import IdleLines
from .unreadable_rows import executions_named, put_off

#: Waiting executions looked at in one go.
_BATCH_COUNT = 200
#: How soon an execution whose predecessor goes on is looked at again.
_RECHECK_MS = 250


class _Waiting(NamedTuple):
    instance_id: str
    execution_id: str
    #: The execution whose end it waits for; ``""`` for none.
    waits_for: str
    #: Names its work order.
    payload_token: str
    #: The invocation and the firing that it belongs to; 0 for one that runs once.
    firing: tuple[str, int]
    #: Whether that does not run everywhere at once.
    is_paced: bool


class Releases:
    """Lets waiting executions go, for all beats alike."""

    def __init__(self, redis: Redis, *, token: str, queue_count: int, confirm_ms: int) -> None:
        self._redis = redis
        self._token = token
        self._queue_count = queue_count
        self._confirm_ms = confirm_ms
        self._idle_lines = IdleLines(redis)
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
        # With very many waiting, each look takes longer: look less often.
        self._look_at(found, recheck_ms=_RECHECK_MS * (1 + len(found) // 50))
        return len(found) == _BATCH_COUNT

    def _look_at(self, found: Sequence[bytes], *, recheck_ms: int) -> None:
        waiting = executions_named(self._redis, keys.TIMED_WAITING, found)
        if not waiting:
            return
        rows = run_apart(
            self._redis,
            [
                read_fields_command(keys.execution(*one[:2]), "waits_for", "envelope", "failures_count")
                for one in waiting
            ],
        )
        commands: list[Command] = []
        readable: list[_Waiting] = []
        unreadable: list[tuple[str, str, Exception]] = []
        for (instance_id, execution_id, firing), row in zip(waiting, rows, strict=True):
            try:
                one = _read(instance_id, execution_id, firing, row)
            except (RedisRefused, ValueError) as exc:
                unreadable.append((instance_id, execution_id, exc))
                continue
            readable.append(one)
            commands.append(
                release_command(
                    instance_id,
                    execution_id,
                    fill(template(one.payload_token, self._token), execution_id),
                    waits_for=one.waits_for,
                    recheck_ms=recheck_ms,
                    queue_count=self._queue_count,
                )
            )
        stops, held_up = [], set[tuple[str, int]]()
        for one, reply in zip(readable, run_apart(self._redis, commands), strict=True):
            if isinstance(reply, RedisRefused):
                unreadable.append((one.instance_id, one.execution_id, reply))
            elif wants_previous_stopped(reply) and one.waits_for.endswith(f"@{one.instance_id}"):
                # No other's: an agent could write into its row what it wants to see stopped.
                stops.append((one.instance_id, one.waits_for))
            elif one.is_paced and still_waits(reply):
                held_up.add(one.firing)
        put_off(self._redis, keys.TIMED_WAITING, unreadable, what_for="let an execution go")
        self._stop(stops)
        self._idle_lines.fill(held_up)

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


def _read(
    instance_id: str, execution_id: str, firing: tuple[str, int], row: list[bytes | None] | RedisRefused
) -> _Waiting:
    """What there is to know of an execution that waits.

    Raises:
        RedisRefused: the row cannot be read at all. ValueError: what stands in it was not written by a beat.
    """
    if isinstance(row, RedisRefused):
        raise row
    waits_for, envelope, failures_count = (part or b"" for part in row)
    if waits_for and split_execution_id(waits_for.decode()) is None:
        raise ValueError(f"{waits_for[:80]!r} is not an execution to wait for")
    token = decode_envelope(envelope).payload_token if envelope else ""
    return _Waiting(instance_id, execution_id, waits_for.decode(), token, firing, bool(failures_count))
