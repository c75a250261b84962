"""How much output an invocation keeps over all of its instances, before anybody reads it."""

from ..broker_config import keys
from ..broker_config.ledger import latest_executions, load_invocations, load_targets
from ..broker_config.redis_client import Redis
from ..broker_config.redis_connection import Command

_CHUNK_COUNT = 1000


def kept_output_bytes(redis: Redis, invoke_id: str) -> int:
    """Sum up the output of the latest execution of each target; 0 for an invocation that is not there."""
    stored = load_invocations(redis, [invoke_id])[0]
    if stored is None:
        return 0
    executions = latest_executions(redis, stored, load_targets(redis, invoke_id))
    commands: list[Command] = [("HSTRLEN", keys.execution(*one), "output") for one in executions if one[1]]
    total_bytes = 0
    for first in range(0, len(commands), _CHUNK_COUNT):
        total_bytes += sum(redis.pipeline_or_raise(commands[first : first + _CHUNK_COUNT]))
    return total_bytes
