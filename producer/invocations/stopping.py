"""Stop an invocation, on all or some of its instances."""

from collections.abc import Sequence

from ...broker_config.chunks import chunks
from ...broker_config.errors import RecordUnreadable
from ...broker_config.functions.executions import Planned
from ...broker_config.ids import execution_id
from ...broker_config.ledger import StoredInvocation, load_invocation
from ...broker_config.pacing import lines
from ...broker_config.records import Invocation
from ...broker_config.redis.client import Redis
from ...broker_config.settings_table import LimitSettings
from ..fleet.targets import chosen_targets
from .stop_requests import stop_executions

_CHUNK_COUNT = 500


def stop(redis: Redis, invoke_id: str, instance_ids: Sequence[str], limits: LimitSettings) -> dict[str, str]:
    """Ask for the end of the executions, and let there be no further ones; what waits is cancelled at once.

    Answers the new state of each instance where something changed; what is final is left alone.

    Raises:
        NotFound: there is no such invocation, or an instance is not one of its targets.
    """
    try:
        stored = load_invocation(redis, invoke_id)
        if stored.timed:
            from ..timed import stopping as timed_stopping  # lazy: most calls need no calendar

            return timed_stopping.stop(redis, stored, instance_ids, limits)
        return _stop_once(redis, stored, instance_ids, limits)
    except RecordUnreadable as unreadable:
        from . import unreadable_stopping  # lazy: hardly ever needed

        return unreadable_stopping.stop(redis, invoke_id, instance_ids, limits, unreadable)


def _stop_once(
    redis: Redis, stored: StoredInvocation, instance_ids: Sequence[str], limits: LimitSettings
) -> dict[str, str]:
    invocation = stored.record
    targets, chosen = chosen_targets(redis, invocation.invoke_id, instance_ids)
    planned = _planned(invocation, targets, chosen)
    confirm_ms = int((invocation.grace_seconds + limits.report_margin_seconds) * 1000)
    changed: dict[str, str] = {}
    for chunk in chunks(chosen, _CHUNK_COUNT):
        executions = [(one, execution_id(invocation.invoke_id, 0, one)) for one in chunk]
        changed |= stop_executions(redis, executions, confirm_ms, planned)
    return changed


def _planned(invocation: Invocation, targets: Sequence[str], chosen: Sequence[str]) -> dict[str, Planned]:
    """What the executions on some targets are, whether or not the dispatch has reached them."""
    neighbours = lines(targets, invocation.pacing) if invocation.pacing else {}

    def execution(instance_id: str) -> str:
        return execution_id(invocation.invoke_id, 0, instance_id) if instance_id else ""

    return {
        one: Planned(
            invoke_id=invocation.invoke_id,
            command_id=invocation.command.command_id,
            created_ms=invocation.created_ms,
            timeout_seconds=invocation.timeout_seconds,
            done_channel=invocation.done_channel,
            waits_for=execution(neighbours[one].before) if neighbours else "",
            followed_by=execution(neighbours[one].after) if neighbours else "",
        )
        for one in chosen
    }
