"""Step through a cron expression's matches on a plain calendar, without zones: the complete engine.

It knows every letter of the grammar. Where croniter is right too, ``croniter_stepping`` does the stepping.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from .cron_fields import CronFields
from .options import DayRule

_SECOND = timedelta(seconds=1)


class CalendarStepper:
    """Find matching dates and times of a wall clock that never jumps."""

    def __init__(self, fields: CronFields, day_rule: DayRule) -> None:
        self._fields = fields
        self._day_rule = day_rule
        self._years, self._months = fields.year.values, fields.month.values
        self._hours, self._minutes, self._seconds = fields.hour.values, fields.minute.values, fields.second.values
        self._first_time = self._hours[0], self._minutes[0], self._seconds[0]
        self._days_by_shape: dict[tuple[int, int], tuple[int, ...]] = {}

    def next_local(self, after: datetime) -> datetime | None:
        """Return the first match strictly after a wall-clock time of whole seconds, None after the last year."""
        start = after + _SECOND
        today = start.date()
        for day in self.dates_from(today):
            time = self._first_time_from(start.hour, start.minute, start.second) if day == today else self._first_time
            if time is not None:
                return datetime(day.year, day.month, day.day, *time)
        return None

    def dates_from(self, start: date) -> Iterator[date]:
        """Iterate over the matching dates, the start included."""
        for year in _from(self._years, start.year):
            for month in _from(self._months, start.month if year == start.year else 1):
                days = self._days(year, month)
                if (year, month) == (start.year, start.month):
                    days = _from(days, start.day)
                for day in days:
                    yield date(year, month, day)

    def _first_time_from(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        """Return the first matching time of a day, at or after the one given."""
        if hour in self._hours:
            if minute in self._minutes and (seconds := _from(self._seconds, second)):
                return hour, minute, seconds[0]
            if minutes := _from(self._minutes, minute + 1):
                return hour, minutes[0], self._seconds[0]
        if hours := _from(self._hours, hour + 1):
            return hours[0], self._minutes[0], self._seconds[0]
        return None

    def _days(self, year: int, month: int) -> tuple[int, ...]:
        """Return the matching days of a month; there are only 28 different months."""
        shape = monthrange(year, month)
        days = self._days_by_shape.get(shape)
        if days is None:
            monday_first, length = shape
            days = self._fields.days_selected(self._day_rule, (monday_first + 1) % 7, length)
            self._days_by_shape[shape] = days
        return days


def _from(values: tuple[int, ...], low: int) -> tuple[int, ...]:
    return values[bisect_left(values, low) :]
