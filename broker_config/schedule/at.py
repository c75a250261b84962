"""``at(yyyy-MM-dd HH:mm:ss [zone])``: one run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from .clock_changes import clock_change_at
from .due_times import DST_GAP, DueTime, Schedule, utc_ms_of
from .fields import YEAR
from .options import ScheduleOptions
from .text_span import Span
from .zones import zone_name, zone_named

ALLOWED = "at(yyyy-MM-dd HH:mm:ss) or at(yyyy-MM-dd HH:mm:ss zone), such as at(2030-06-01 08:30:00 Asia/Shanghai)"

_AT = re.compile(r"at[ \t]*\((.*)\)", re.IGNORECASE | re.DOTALL)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})")


@dataclass(frozen=True)
class AtSchedule(Schedule):
    """Be due once, at a wall-clock time of a zone.

    A time that the clock jumps over follows the gap policy; a time that comes twice means the first of the two,
    because this is one run whatever the overlap policy says.
    """

    local: datetime
    zone: str
    options: ScheduleOptions

    @property
    def canonical(self) -> str:
        """Return the time and the zone as text."""
        return f"at({self.local:%Y-%m-%d %H:%M:%S} {self.zone})"

    @property
    def due(self) -> DueTime:
        """Return the only due time."""
        zone = zone_named(self.zone)
        change = clock_change_at(self.local, zone)
        if change is None or not change.is_gap:
            return DueTime(utc_ms_of(self.local.replace(tzinfo=zone)))
        return DueTime(utc_ms_of(change.instant), DST_GAP if self.options.gap == "skip" else "")

    def next_after(self, after_ms: int) -> DueTime | None:
        """Return the due time if it is after an instant."""
        due = self.due
        return due if due.utc_ms > after_ms else None


def parse_at(expression: Span, options: ScheduleOptions) -> AtSchedule:
    """Parse an at expression; without a zone it is UTC, as in the original service.

    Raises:
        InvalidFrequency: it is none, or has no such date or time.
    """
    match = _AT.fullmatch(expression.text)
    words = expression.part(*match.span(1)).words() if match else []
    if not 2 <= len(words) <= 3:
        raise expression.refused(f"this is not a time to run at; allowed is {ALLOWED}")
    zone = zone_name(words[2]) if len(words) == 3 else "UTC"
    year, month, day = _numbers(words[0], _DATE, "a date")
    hour, minute, second = _numbers(words[1], _TIME, "a time of the day")
    if not YEAR.low <= year <= YEAR.high:
        raise words[0].refused(f"at: year {year} is out of range, years are {YEAR.low}-{YEAR.high}")
    try:
        local = datetime(year, month, day)
    except ValueError as wrong:
        raise words[0].refused(f"at: there is no date {words[0].text} ({wrong}); allowed is {ALLOWED}") from None
    try:
        local = local.replace(hour=hour, minute=minute, second=second)
    except ValueError as wrong:
        raise words[1].refused(f"at: there is no time {words[1].text} ({wrong}); allowed is {ALLOWED}") from None
    return AtSchedule(local, zone, options)


def _numbers(span: Span, pattern: re.Pattern[str], what: str) -> tuple[int, int, int]:
    match = pattern.fullmatch(span.text)
    if match is None:
        raise span.refused(f"at: {span.text!r} is not {what}; allowed is {ALLOWED}")
    return int(match[1]), int(match[2]), int(match[3])
