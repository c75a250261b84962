"""What a well-formed schedule is refused for when it is created or changed: both need to know "now"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise, product

from .at import AtSchedule
from .cron import CronSchedule
from .due_times import EPOCH, Schedule
from .errors import InvalidFrequency
from .rate import RateSchedule
from .zones import zone_named

_DAY = timedelta(days=1)


def check_future(schedule: Schedule, now_ms: int) -> None:
    """Refuse a schedule that will never run: its time has passed, its dates do not exist, or all fall into gaps.

    Raises:
        InvalidFrequency: it is never due from now on.
    """
    due = schedule.next_after(now_ms)
    while due is not None and due.skipped:
        due = schedule.next_after(due.utc_ms)
    if due is not None:
        return
    if not isinstance(schedule, AtSchedule):
        raise InvalidFrequency("there is no run in the future (up to the end of 2099)", None, schedule.canonical)
    if schedule.due.utc_ms > now_ms:
        raise InvalidFrequency(
            f"{schedule.local} never comes in {schedule.zone}: the clock jumps over it, and the gap policy is to skip",
            None,
            schedule.canonical,
        )
    raise InvalidFrequency(f"{schedule.local_text(schedule.due)} is in the past", None, schedule.canonical)


def check_interval(
    schedule: Schedule, *, minimum_interval_seconds: int, timeout_seconds: int, now_ms: int, jitter_seconds: int = 0
) -> None:
    """Refuse a schedule with two future runs closer together than the minimum interval, the timeout or the jitter.

    A ``rate`` must even be longer than the timeout. The whole calendar is covered, not a sample of it; it is read on
    the wall clock, so that the shorter distance of two runs around a clock change refuses nothing.

    Raises:
        InvalidFrequency: it names two due times that are too close.
    """
    limits = {"minimum interval": minimum_interval_seconds, "timeout": timeout_seconds, "jitter": jitter_seconds}
    longest = max(limits, key=lambda name: limits[name])
    required = limits[longest]
    lower = "beat.minimum_interval_seconds" if longest == "minimum interval" else f"the {longest}"
    because = f"({', '.join(f'{name} {seconds} s' for name, seconds in limits.items() if seconds)})"
    because += f"; let it be due less often, or lower {lower}"
    if isinstance(schedule, RateSchedule):
        interval = schedule.interval_seconds
        if interval < required or interval <= timeout_seconds:
            first, second = (schedule.local_text(due) for due in schedule.due_times(now_ms, 2))
            raise InvalidFrequency(
                f"due times {first} and {second} are {interval} s apart; a rate must be longer than the timeout "
                f"and at least the minimum interval {because}",
                None,
                schedule.canonical,
            )
    if isinstance(schedule, CronSchedule):
        close = _close_pair(schedule, timedelta(seconds=required), now_ms)
        if close is not None:
            first, second = (moment.replace(tzinfo=zone_named(schedule.zone)).isoformat() for moment in close)
            raise InvalidFrequency(
                f"due times {first} and {second} are {(close[1] - close[0]).total_seconds():.0f} s apart; "
                f"at least {required} s are required {because}",
                None,
                schedule.canonical,
            )


def _close_pair(schedule: CronSchedule, required: timedelta, now_ms: int) -> tuple[datetime, datetime] | None:
    """Return two consecutive future matches on the wall clock that are too close, or None."""
    now = EPOCH + timedelta(milliseconds=max(now_ms, 0))
    local = now.astimezone(zone_named(schedule.zone)).replace(tzinfo=None)
    start = schedule.calendar.next_local(local.replace(microsecond=0))
    if start is None:
        return None
    return _close_pair_in_a_day(schedule, required, start) or _close_pair_over_midnight(schedule, required, start)


def _close_pair_in_a_day(
    schedule: CronSchedule, required: timedelta, start: datetime
) -> tuple[datetime, datetime] | None:
    """Look at the rest of the first day and at the whole second day; all further days are like the second."""
    dates = schedule.calendar.dates_from(start.date())
    for day, _ in zip(dates, range(2), strict=False):
        times = (moment for moment in _times(schedule, day) if moment >= start)
        for first, second in pairwise(times):
            if second - first < required:
                return first, second
    return None


def _close_pair_over_midnight(
    schedule: CronSchedule, required: timedelta, start: datetime
) -> tuple[datetime, datetime] | None:
    """Look at the last match of each day and the first of the next matching day."""
    fields = schedule.fields
    earliest = time(fields.hour.values[0], fields.minute.values[0], fields.second.values[0])
    latest = time(fields.hour.values[-1], fields.minute.values[-1], fields.second.values[-1])
    distance = datetime.combine(start, earliest) + _DAY - datetime.combine(start, latest)
    if distance >= required:
        return None
    for day, following in pairwise(schedule.calendar.dates_from(start.date())):
        if following - day + distance - _DAY < required:
            return datetime.combine(day, latest), datetime.combine(following, earliest)
    return None


def _times(schedule: CronSchedule, day: date) -> Iterator[datetime]:
    fields = schedule.fields
    for hour, minute, second in product(fields.hour.values, fields.minute.values, fields.second.values):
        yield datetime(day.year, day.month, day.day, hour, minute, second)
