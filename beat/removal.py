"""Remove an invocation, or old firings of one that goes on, with everything that was ever written for it.

Rows go first and the invocation itself last, so a removal that was cut off is found and finished by the next one.
Two at once do no harm: everything is named, and removed whether it is there or not.
"""

from collections.abc import Sequence

from ..broker_config import keys
from ..broker_config.chunks import chunks
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.function_library import run_apart
from ..broker_config.ids import execution_id
from ..broker_config.ledger import StoredInvocation, load_targets
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.timed.boot_bound import unbind
from ..broker_config.timed.firing_rows import FiringStatus, load_firings
from .sweeper import trim_queues

#: Executions removed in one round trip.
_CHUNK_COUNT = 500
#: Firings removed in one go.
_FIRINGS_COUNT = 100


def remove_invocation(redis: Redis, invoke_id: str, stored: StoredInvocation | None) -> None:
    """Remove all of an invocation that is over; of one that cannot be read (``None``), all that leads on from its id.

    Raises:
        RedisUnreachable, RedisRefused: part of it is left, and found again.
    """
    if stored is None:
        [named] = run_apart(redis, [("HMGET", keys.timed(invoke_id), "command_id", "token")])
        texts = (None, None) if isinstance(named, RedisRefused) else named
        command_id, token = ((one or b"").decode("utf-8", "replace") for one in texts)
    else:
        command_id, token = stored.record.command.command_id, stored.record.payload_token
    targets = load_targets(redis, invoke_id)
    remove_executions(redis, invoke_id, 0, targets)
    if stored is None or stored.timed:
        while firings := redis.call("ZRANGE", keys.firings(invoke_id), 0, _FIRINGS_COUNT - 1):
            remove_firings(redis, invoke_id, [int(one) for one in firings], targets)
        unbind(redis, invoke_id, targets, forget=True)
    for chunk in chunks(targets, _CHUNK_COUNT):
        trim_queues(redis, chunk)
    redis.pipeline_or_raise(
        [
            ("DEL", keys.payload(token), keys.timed(invoke_id), keys.timed_latest(invoke_id)),
            ("DEL", keys.timed_stopped(invoke_id), keys.firings(invoke_id), keys.invocation_targets(invoke_id)),
            ("ZREM", keys.TIMED_DUE, invoke_id),
            ("ZREM", keys.TIMED_BOOT, invoke_id),
            ("SREM", keys.command_open(command_id), invoke_id),
            ("ZREM", keys.command_invocations(command_id), invoke_id),
            ("ZREM", keys.INVOCATIONS_OPEN, invoke_id),
            ("ZREM", keys.INVOCATIONS_TIMED, invoke_id),
            ("DEL", keys.invocation(invoke_id)),
            # The index by which a removal is found again goes last.
            ("ZREM", keys.FILES if invoke_id.startswith("f-") else keys.INVOCATIONS, invoke_id),
        ]
    )


def remove_firings(redis: Redis, invoke_id: str, due_ms: Sequence[int], targets: Sequence[str]) -> None:
    """Remove some firings of a timed invocation with their executions."""
    for firing in load_firings(redis, invoke_id, due_ms):
        if firing.status != FiringStatus.SKIPPED:
            remove_executions(redis, invoke_id, firing.due_ms, firing.instances or targets)
    members = [f"{invoke_id} {one}" for one in due_ms]
    redis.pipeline_or_raise(
        [
            ("DEL", *(name for one in due_ms for name in _names_of_firing(invoke_id, one))),
            ("ZREM", keys.TIMED_DISPATCHING, *members),
            ("ZREM", keys.firings(invoke_id), *due_ms),
        ]
    )


def _names_of_firing(invoke_id: str, due_ms: int) -> tuple[str, ...]:
    return keys.firing(invoke_id, due_ms), keys.firing_line(invoke_id, due_ms), keys.firing_followers(invoke_id, due_ms)


def remove_executions(redis: Redis, invoke_id: str, firing_ms: int, targets: Sequence[str]) -> None:
    """Remove the rows of a firing, 0 for what runs once, with their output and their places in every index."""
    for chunk in chunks(targets, _CHUNK_COUNT):
        commands: list[Command] = []
        executions = [execution_id(invoke_id, firing_ms, one) for one in chunk]
        for instance_id, execution in zip(chunk, executions, strict=True):
            rows = keys.execution(instance_id, execution), keys.live_output(instance_id, execution)
            commands.append(("DEL", *rows))
            commands.append(("ZREM", keys.open_executions(instance_id), execution))
            commands.append(("ZREM", keys.instance_history(instance_id), execution))
        commands.append(("ZREM", keys.DEADLINES, *executions))
        commands.append(("ZREM", keys.TIMED_WAITING, *executions))
        redis.pipeline_or_raise(commands)
