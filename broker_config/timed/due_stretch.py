"""The due times of a stretch of time: how many there are, and which are the last. Pure.

Beats may be away for days while a schedule is due every second. What was missed must be counted exactly and found at
once, so nothing here steps through a long stretch due time by due time.
"""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from ..schedule import DueTime, Schedule
from ..schedule.cron import CronSchedule
from ..schedule.due_times import EPOCH
from ..schedule.rate import RateSchedule
from ..schedule.zones import zone_named

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
#: No zone's clock is put forward or back by more within a stretch that is counted as plain, see ``_is_plain``.
_AROUND_MS = 3 * _HOUR_MS


def count_due(schedule: Schedule, after_ms: int, until_ms: int) -> int:
    """Count the due times after a moment up to another, that one included."""
    if until_ms <= after_ms:
        return 0
    if isinstance(schedule, RateSchedule):
        interval_ms = schedule.interval_seconds * 1000
        return _grid_count(schedule, until_ms, interval_ms) - _grid_count(schedule, after_ms, interval_ms)
    if isinstance(schedule, CronSchedule):
        return _count_pieces(schedule, after_ms, until_ms, _DAY_MS)
    return _count_steps(schedule, after_ms, until_ms)


def last_due(schedule: Schedule, after_ms: int, until_ms: int, count: int) -> list[DueTime]:
    """The last due times after a moment up to another, that one included: at most ``count``, in order."""
    width_ms = 1000 * count
    while True:
        start_ms = max(after_ms, until_ms - width_ms)
        found: list[DueTime] = []
        due = schedule.next_after(start_ms)
        while due is not None and due.utc_ms <= until_ms:
            found.append(due)
            due = schedule.next_after(due.utc_ms)
        if len(found) >= count or start_ms == after_ms:
            return found[-count:]
        width_ms *= 4


def first_due(schedule: Schedule, after_ms: int, until_ms: int, count: int) -> list[DueTime]:
    """The first due times after a moment up to another, that one included: at most ``count``, in order."""
    return list(takewhile(lambda due: due.utc_ms <= until_ms, schedule.due_times(after_ms, count)))


def _grid_count(schedule: RateSchedule, until_ms: int, interval_ms: int) -> int:
    return max(0, (until_ms - schedule.anchor_ms) // interval_ms)


def _count_steps(schedule: Schedule, after_ms: int, until_ms: int) -> int:
    count = 0
    due = schedule.next_after(after_ms)
    while due is not None and due.utc_ms <= until_ms:
        count += 1
        due = schedule.next_after(due.utc_ms)
    return count


def _count_pieces(schedule: CronSchedule, after_ms: int, until_ms: int, piece_ms: int) -> int:
    """Count by arithmetic where the zone's clock runs evenly, around its changes in smaller pieces and by steps."""
    count = 0
    start_ms = after_ms
    while start_ms < until_ms:
        end_ms = min(until_ms, start_ms + piece_ms)
        if _is_plain(schedule, start_ms, end_ms):
            count += _count_plain(schedule, start_ms, end_ms)
        elif piece_ms > _HOUR_MS:
            count += _count_pieces(schedule, start_ms, end_ms, _HOUR_MS)
        else:
            count += _count_steps(schedule, start_ms, end_ms)
        start_ms = end_ms
    return count


def _is_plain(schedule: CronSchedule, start_ms: int, end_ms: int) -> bool:
    """Tell whether no clock change in or near a stretch can add, move or take a due time of it."""
    zone = zone_named(schedule.zone)
    offsets = {
        (EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).utcoffset()
        for at_ms in range(start_ms - _AROUND_MS, end_ms + _AROUND_MS, _AROUND_MS)
    }
    offsets.add((EPOCH + timedelta(milliseconds=end_ms + _AROUND_MS)).astimezone(zone).utcoffset())
    return len(offsets) == 1


def _count_plain(schedule: CronSchedule, start_ms: int, end_ms: int) -> int:
    """Count the matches of the wall clock after one moment up to another between which it runs evenly."""
    zone = zone_named(schedule.zone)
    # Matches are whole seconds, so parts of a second behind either end do not matter.
    start = datetime.fromtimestamp(start_ms // 1000, UTC).astimezone(zone).replace(tzinfo=None)
    end = datetime.fromtimestamp(end_ms // 1000, UTC).astimezone(zone).replace(tzinfo=None)
    whole_day = _count_of_day(schedule, None)
    count = 0
    for day in schedule.calendar.dates_from(start.date()):
        if day > end.date():
            break
        upper = _count_of_day(schedule, end) if day == end.date() else whole_day
        lower = _count_of_day(schedule, start) if day == start.date() else 0
        count += upper - lower
    return count


def _count_of_day(schedule: CronSchedule, until: datetime | None) -> int:
    """Count a matching day's matches up to a time of day, that one included; ``None`` is the whole day."""
    hours, minutes, seconds = (
        field.values for field in (schedule.fields.hour, schedule.fields.minute, schedule.fields.second)
    )
    per_hour = len(minutes) * len(seconds)
    if until is None:
        return len(hours) * per_hour
    count = bisect_left(hours, until.hour) * per_hour
    if until.hour in hours:
        count += bisect_left(minutes, until.minute) * len(seconds)
        if until.minute in minutes:
            count += bisect_right(seconds, until.second)
    return count
