"""Stop an invocation whose record or schedule cannot be read, by what can: its targets, its status, its executions."""

from collections.abc import Sequence

from ...broker_config import keys
from ...broker_config.errors import RecordUnreadable
from ...broker_config.functions.function_library import run, run_apart
from ...broker_config.functions.timed import move_timed_command
from ...broker_config.redis.client import Redis
from ...broker_config.settings_table import LimitSettings
from ...broker_config.timed.boot_bound import unbind
from ...broker_config.timed.timed_invocation import TimedStatus, server_ms
from ..fleet.targets import chosen_targets
from ..timed.stopping import stop_unfinished


def stop(
    redis: Redis, invoke_id: str, instance_ids: Sequence[str], limits: LimitSettings, unreadable: RecordUnreadable
) -> dict[str, str]:
    """Let it never run again, on all or some instances, and ask for the end of what is unfinished there.

    Answers the new state of each instance where something changed.

    Raises:
        NotFound: an instance is not one of its targets. RecordUnreadable: nothing of it is left to be stopped.
    """
    targets, chosen = chosen_targets(redis, invoke_id, instance_ids)
    stopped = keys.timed_stopped(invoke_id)
    [status] = run_apart(redis, [("HGET", keys.timed(invoke_id), "status")])
    if status is None and not targets:
        raise unreadable
    if isinstance(status, Exception):
        # Of another kind, it is nothing that anybody could go on with.
        redis.call("DEL", keys.timed(invoke_id))
    elif redis.call("EXISTS", keys.timed(invoke_id)):
        stopped_count = redis.pipeline_or_raise([("SADD", stopped, *chosen), ("SCARD", stopped)])[-1] if chosen else 0
        if stopped_count >= len(targets):
            _end(redis, invoke_id, status)
        unbind(redis, invoke_id, chosen)
    if len(chosen) == len(targets):
        redis.pipeline_or_raise([("ZREM", index, invoke_id) for index in (keys.TIMED_DUE, keys.TIMED_BOOT)])
    changed = stop_unfinished(redis, invoke_id, chosen, confirm_ms=int(limits.report_margin_seconds * 1000))
    if len(chosen) == len(targets):
        _count_as_over(redis, invoke_id)
    return changed


def _end(redis: Redis, invoke_id: str, status: bytes | None) -> None:
    """Have its status be stopped, whatever it is: a beat of a newer release may be able to read it."""
    key = keys.timed(invoke_id)
    before = (status or b"").decode("utf-8", "replace") or "unknown"
    revision = redis.call("HGET", key, "revision") or b""
    redis.pipeline_or_raise(
        [
            *([] if before.encode() == status else [("HSET", key, "status", before)]),
            *([] if revision.isdigit() else [("HSET", key, "revision", 0)]),
        ]
    )
    run(redis, move_timed_command(invoke_id, [before], TimedStatus.STOPPED, reason="stopped"))


def _count_as_over(redis: Redis, invoke_id: str) -> None:
    """Have it be finished where nobody can roll it up, so that it is no unfinished work, and too old one day."""
    at_ms = server_ms(redis)
    run_apart(redis, [("HSETNX", keys.invocation(invoke_id), "finished_ms", at_ms)])
    redis.call("ZREM", keys.INVOCATIONS_OPEN, invoke_id)
