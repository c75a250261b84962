"""Stop, pause and resume a timed invocation."""

from collections.abc import Sequence

from ...broker_config import keys
from ...broker_config.chunks import chunks
from ...broker_config.errors import Refused
from ...broker_config.functions.function_library import run, run_all
from ...broker_config.functions.reported import read_members_command
from ...broker_config.functions.timed import move_timed_command
from ...broker_config.ids import is_execution_of
from ...broker_config.ledger import StoredInvocation
from ...broker_config.redis.client import Redis
from ...broker_config.settings_table import LimitSettings
from ...broker_config.timed.boot_bound import unbind
from ...broker_config.timed.timed_invocation import GOING_ON, Timed, TimedStatus, load_timed
from ..fleet.targets import chosen_targets
from ..invocations.stop_requests import stop_executions
from .undecided import TRIES_COUNT, leave_out_undecided, too_busy

_CHUNK_COUNT = 200
#: Names looked at among what an instance has not ended: many times what may wait there.
_OPEN_COUNT = 100_000


def stop(redis: Redis, stored: StoredInvocation, instance_ids: Sequence[str], limits: LimitSettings) -> dict[str, str]:
    """Let there be no further execution, on all or some instances, and ask for the end of those that are unfinished.

    Answers the new state of each instance where something changed. What is over is left alone.

    Raises:
        NotFound: an instance is not one of its targets (``InvalidInstanceId.NotFound``).
    """
    invoke_id = stored.record.invoke_id
    targets, chosen = chosen_targets(redis, invoke_id, instance_ids)
    _end_for(redis, load_timed(redis, invoke_id), chosen, is_all=len(chosen) == len(targets))
    confirm_ms = int((stored.record.grace_seconds + limits.report_margin_seconds) * 1000)
    return stop_unfinished(redis, invoke_id, chosen, confirm_ms=confirm_ms)


def stop_unfinished(redis: Redis, invoke_id: str, instance_ids: Sequence[str], *, confirm_ms: int) -> dict[str, str]:
    """Ask for the end of whatever is unfinished on some instances; answers the new state of each that changed."""
    changed: dict[str, str] = {}
    for chunk in chunks(instance_ids, _CHUNK_COUNT):
        changed |= _stop_executions(redis, invoke_id, chunk, confirm_ms)
    return changed


def pause(redis: Redis, invoke_id: str) -> None:
    """Leave out every due time until it is resumed; executions that run go on.

    Raises:
        NotFound: no such timed invocation. Refused: it is over, or is not run by the clock.
    """
    _move(redis, invoke_id, TimedStatus.ACTIVE, TimedStatus.PAUSED)


def resume(redis: Redis, invoke_id: str) -> None:
    """Let it come due again, from the next due time on.

    Raises:
        NotFound: no such timed invocation. Refused: it is over, or is not run by the clock.
    """
    _move(redis, invoke_id, TimedStatus.PAUSED, TimedStatus.ACTIVE)


def refuse_if_over(timed: Timed) -> None:
    """Raise ``Refused`` for a timed invocation that will never run again."""
    if not timed.goes_on:
        why = f" ({timed.end_reason})" if timed.end_reason not in ("", timed.status) else ""
        raise Refused(
            f"{timed.invoke_id} is over: {timed.status}{why}; make a new one",
            code="InvalidOperation.InvokeAlreadyFinished",
        )


def _move(redis: Redis, invoke_id: str, before: TimedStatus, after: TimedStatus) -> None:
    timed = load_timed(redis, invoke_id)
    refuse_if_over(timed)
    if timed.is_boot_bound:
        raise Refused(
            f"{invoke_id} runs when machines start ({timed.schedule.repeat_mode}): it cannot be paused, only stopped",
            code="InvalidOperation.RepeatModeUnsupported",
        )
    if timed.status == after:
        return
    what_happened = "it was resumed" if after == TimedStatus.ACTIVE else "it was paused"
    moved, current = _move_decided(redis, invoke_id, [before, after], after, "paused", what_happened)
    if not moved:
        raise Refused(f"{invoke_id} is over: {current.decode()}", code="InvalidOperation.InvokeAlreadyFinished")


def _move_decided(
    redis: Redis, invoke_id: str, before: Sequence[str], after: TimedStatus, reason: str, what_happened: str
) -> tuple[int, bytes]:
    """Change the status once all that has passed is decided about; answers whether, and the status before or instead.

    Raises:
        Refused: it changes all the time.
    """
    for _ in range(TRIES_COUNT):
        # What cannot be decided about here must be possible to stop all the same.
        _, is_decided = leave_out_undecided(redis, invoke_id, reason, what_happened)
        reply = run(redis, move_timed_command(invoke_id, before, after, reason=reason, only_decided=is_decided))
        if reply[1] != b"undecided":
            moved, status = reply
            return moved, status
    raise too_busy(invoke_id)


def _end_for(redis: Redis, timed: Timed, chosen: Sequence[str], *, is_all: bool) -> None:
    """Let no further execution be made for some targets; for the last of them the invocation itself ends."""
    invoke_id = timed.invoke_id
    if not is_all:
        stopped = keys.timed_stopped(invoke_id)
        # The new revision makes beats read again what they have already prepared for the next due time.
        replies = redis.pipeline_or_raise(
            [("SADD", stopped, *chosen), ("HINCRBY", keys.timed(invoke_id), "revision", 1), ("SCARD", stopped)]
        )
        is_all = replies[-1] >= timed.target_count
    if is_all:
        # One that has ended may still have targets to dispatch to.
        before = [*GOING_ON, *((TimedStatus.ENDED,) if timed.open_due_ms else ())]
        _move_decided(redis, invoke_id, before, TimedStatus.STOPPED, "stopped", "it was stopped")
    if timed.is_boot_bound:
        unbind(redis, invoke_id, chosen)


def _stop_executions(redis: Redis, invoke_id: str, instance_ids: Sequence[str], confirm_ms: int) -> dict[str, str]:
    """Stop whatever of this invocation is unfinished on some instances, of whichever firing it is."""
    begins = f"{invoke_id}."
    found = run_all(
        redis,
        [read_members_command(keys.open_executions(one), count=_OPEN_COUNT, beginning=begins) for one in instance_ids],
    )
    unfinished = [
        (instance_id, execution)
        for instance_id, members in zip(instance_ids, found, strict=True)
        for execution in (one.decode("utf-8", "replace") for one in members)
        if is_execution_of(execution, instance_id)
    ]
    return stop_executions(redis, unfinished, confirm_ms)
