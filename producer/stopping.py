"""Stop a one-off invocation, on all or some of its instances."""

from collections.abc import Sequence

from ..broker_config.errors import NotFound
from ..broker_config.functions.executions import Moved, request_stop_command, stop_reply
from ..broker_config.functions.function_library import run_all
from ..broker_config.ids import execution_id
from ..broker_config.ledger import StoredInvocation, load_targets
from ..broker_config.redis_client import Redis
from ..broker_config.settings_table import LimitSettings

_CHUNK_COUNT = 500


def stop(redis: Redis, stored: StoredInvocation, instance_ids: Sequence[str], limits: LimitSettings) -> dict[str, str]:
    """Ask for the end of the executions; what waits is cancelled at once. Final ones are left alone.

    Answers the new state of each instance where something changed.

    Raises:
        NotFound: an instance is no target of this invocation (``InvalidInstanceId.NotFound``).
    """
    targets = load_targets(redis, stored.record.invoke_id)
    chosen = list(dict.fromkeys(instance_ids)) or targets
    strangers = set(chosen) - set(targets)
    if strangers:
        raise NotFound(
            f"{', '.join(sorted(strangers)[:5])} is no target of {stored.record.invoke_id}; "
            f"`assist invocation show {stored.record.invoke_id}` lists them",
            code="InvalidInstanceId.NotFound",
        )
    confirm_ms = int((stored.record.grace_seconds + limits.report_margin_seconds) * 1000)
    changed: dict[str, str] = {}
    for first in range(0, len(chosen), _CHUNK_COUNT):
        chunk = chosen[first : first + _CHUNK_COUNT]
        executions = [execution_id(stored.record.invoke_id, 0, one) for one in chunk]
        commands = [request_stop_command(*one, confirm_ms=confirm_ms) for one in zip(chunk, executions, strict=True)]
        for instance_id, reply in zip(chunk, run_all(redis, commands), strict=True):
            moved = stop_reply(reply)
            if isinstance(moved, Moved):
                changed[instance_id] = moved.previous
    return changed
