"""The rows of due times that are left out, and why a schedule ends with them. Pure."""

from collections.abc import Callable

from ..functions.timed import ROWS_OF_ONE_REASON_COUNT, SkippedDue
from ..records import Schedule
from ..schedule import DueTime
from ..schedule import Schedule as Calendar
from .due_stretch import count_due, first_due, last_due

END_TIME = "end_time"
LAST_DUE_TIME = "last_due_time"

INFO = {
    "paused": "the timed invocation was paused",
    "dst_gap": "this time of day did not come: the clock was put forward over it",
    "refused": "the stored invocation is not sealed with the producers' key, or was changed without it",
    "ended": "no beat ran at that time, and now the end time has passed",
}


def left_out_rows(calendar: Calendar, due: DueTime, until_ms: int, reason: str, info: str) -> list[SkippedDue]:
    """One row for a due time and each one after it up to a moment, or one for all when they are too many.

    The first is taken as it was stored: a calendar with other rules for the zone may not have it.
    """
    few = [due, *first_due(calendar, due.utc_ms, until_ms, ROWS_OF_ONE_REASON_COUNT)]
    if len(few) <= ROWS_OF_ONE_REASON_COUNT:
        return [
            SkippedDue(one.utc_ms, one.utc_ms, 1, one.skipped or reason, INFO.get(one.skipped, info)) for one in few
        ]
    last = last_due(calendar, due.utc_ms, until_ms, 1)[0]
    return [SkippedDue(due.utc_ms, last.utc_ms, 1 + count_due(calendar, due.utc_ms, until_ms), reason, info)]


def end_reason(schedule: Schedule, calendar: Callable[[], Calendar]) -> str:
    """Why there is no further due time."""
    return END_TIME if schedule.end_ms and calendar().next_after(schedule.end_ms) else LAST_DUE_TIME
