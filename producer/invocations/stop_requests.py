"""Ask agents for the end of executions."""

from collections.abc import Mapping, Sequence

from ...broker_config.functions.executions import Planned, StopRequested, request_stop_command, stop_reply
from ...broker_config.functions.function_library import run_all
from ...broker_config.redis.client import Redis


def stop_executions(
    redis: Redis,
    executions: Sequence[tuple[str, str]],
    confirm_ms: int,
    planned: Mapping[str, Planned] | None = None,
) -> dict[str, str]:
    """Ask for the end of (instance id, execution id) pairs; answers the new state of each instance where one moved.

    ``planned`` says by instance what those are that may have no row yet.
    """
    commands = [
        request_stop_command(*one, confirm_ms=confirm_ms, planned=planned[one[0]] if planned else None)
        for one in executions
    ]
    replies = map(stop_reply, run_all(redis, commands))
    return {
        instance_id: reply.state
        for (instance_id, _), reply in zip(executions, replies, strict=True)
        if isinstance(reply, StopRequested)
    }
