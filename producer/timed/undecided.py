"""Due times that have passed and that no beat has decided about, because none ran: they must not vanish with a change.

Whoever stops, resumes or reschedules decides about them first, as a beat would: each is left out, with a row that says
why. The change itself is refused by Redis as long as there is one.
"""

from zoneinfo import ZoneInfoNotFoundError

from ...broker_config.errors import Refused
from ...broker_config.functions.function_library import run
from ...broker_config.functions.timed import skip_due_command
from ...broker_config.redis.client import Redis
from ...broker_config.timed.left_out import end_reason, left_out_rows
from ...broker_config.timed.timed_invocation import Timed, TimedStatus, calendar_of, load_timed, next_due, server_ms

#: How often it is tried again when beats, or others who change the same invocation, are faster.
TRIES_COUNT = 20


def leave_out_undecided(redis: Redis, invoke_id: str, reason: str, what_happened: str) -> tuple[Timed, bool]:
    """Leave out what has passed undecided; answer the timed invocation as it stands then, and whether all is decided.

    Due times of a pause are left out as paused, whatever the reason given. Not all is decided when the schedule cannot
    be read here.

    Raises:
        NotFound: no such timed invocation. Refused: it changes all the time.
    """
    for _ in range(TRIES_COUNT):
        timed = load_timed(redis, invoke_id)
        now_ms = server_ms(redis)
        if not timed.goes_on or timed.due is None or timed.due.utc_ms > now_ms:
            return timed, True
        try:
            _leave_out(redis, timed, now_ms, reason, f"no beat had decided about it when {what_happened}")
        except (ValueError, ZoneInfoNotFoundError):
            return timed, False
    raise too_busy(invoke_id)


def too_busy(invoke_id: str) -> Refused:
    """Build the refusal for a change that others keep getting ahead of."""
    return Refused(f"{invoke_id} is being changed by somebody else; try again", code="IdempotentProcessing")


def _leave_out(redis: Redis, timed: Timed, now_ms: int, reason: str, info: str) -> None:
    """Leave out all that has passed; without effect when somebody was faster."""
    if timed.due is None:
        return
    schedule = timed.schedule
    calendar = calendar_of(schedule, timed.anchor_ms)
    until_ms = min(now_ms, schedule.end_ms) if schedule.end_ms else now_ms
    following = next_due(calendar, schedule, until_ms)
    reason = "paused" if timed.status == TimedStatus.PAUSED else reason
    command = skip_due_command(
        timed.invoke_id,
        left_out_rows(calendar, timed.due, until_ms, reason, info),
        revision=timed.revision,
        next_due_ms=following.utc_ms if following else 0,
        next_skipped=following.skipped if following else "",
        end_reason="" if following else end_reason(schedule, lambda: calendar),
        run_due_ms=timed.run_due_ms,
    )
    run(redis, command)
