"""A cron schedule in a zone: wall-clock matches become instants, also where the clock jumps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Protocol

from .calendar_stepping import CalendarStepper
from .clock_changes import ClockChange, clock_change_at
from .cron_fields import CronFields
from .croniter_stepping import CroniterStepper, croniter_expression
from .due_times import DST_GAP, EPOCH, DueTime, Schedule, utc_ms_of
from .fields import YEAR
from .options import ScheduleOptions
from .zones import zone_named

_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
#: The grammar's calendar, 1970 to 2099, with a day on either side for the zones' offsets.
_FIRST_SECOND = -86_400
_LAST_SECOND = (datetime(YEAR.high + 1, 1, 2, tzinfo=UTC) - EPOCH) // _SECOND
_BEFORE_CALENDAR = datetime(YEAR.low, 1, 1) - _SECOND


class Stepper(Protocol):
    """Find the matches of a wall clock that never jumps."""

    def next_local(self, after: datetime) -> datetime | None:
        """Return the first match strictly after a wall-clock time of whole seconds."""


@dataclass(frozen=True)
class CronSchedule(Schedule):
    """Be due whenever the zone's wall clock matches the fields, from 1970 to the end of 2099.

    Where the clock jumps, what the hour field says decides:

    * An hour field that names its hours (``1``, ``0,12``, ``9-17``) means those times of the day. A time that comes
      twice (overlap) counts once, the first time, or both times under ``overlap="twice"``. A time that never comes
      (gap) is due at the first instant after the gap, once for the whole gap; under ``gap="skip"`` that instant is a
      due time marked ``dst_gap``, unless it is a due time of its own, which then stands for both.
    * An hour field that goes on to the end of the day by itself (``*``, ``*/2``, ``1/2``, ``0-23``, ``1-23/2``)
      means an interval, and elapsed time counts: in an overlap it is due in both passes, whatever the option says.
      A time in a gap is missing only if the moment that comes in its place, the gap's length later on the wall clock,
      is not due as well: ``0 */10 * * * *`` misses nothing, ``0 0 */2 * * *`` misses 02:00, and what is missing
      follows the gap policy.
    """

    fields: CronFields
    zone: str
    options: ScheduleOptions

    @property
    def canonical(self) -> str:
        """Return the fields and the zone as text."""
        return f"{self.fields.canonical} {self.zone}"

    def next_after(self, after_ms: int) -> DueTime | None:
        """Return the first due time strictly after an instant, or None when there is none before 2100."""
        after_seconds = max(after_ms // 1000, _FIRST_SECOND)
        if after_seconds > _LAST_SECOND:
            return None
        here = (EPOCH + timedelta(seconds=after_seconds)).astimezone(self._tz)
        local = max(here.replace(tzinfo=None, fold=0), _BEFORE_CALENDAR)
        overlap = clock_change_at(local, self._tz)
        if overlap is None:
            return self._first_after(local)
        if self._counts_both_passes:
            return self._first_after_in_overlap(local, overlap, in_second_pass=bool(here.fold))
        return self._first_after(overlap.local_before - _SECOND if here.fold else local)

    @cached_property
    def calendar(self) -> CalendarStepper:
        """Return the matching dates and times without a zone."""
        return CalendarStepper(self.fields, self.options.day_rule)

    @cached_property
    def _stepper(self) -> Stepper:
        expression = croniter_expression(self.fields)
        return self.calendar if expression is None else CroniterStepper(expression, self.options.day_rule)

    @cached_property
    def _tz(self) -> tzinfo:
        return zone_named(self.zone)

    @property
    def _is_interval(self) -> bool:
        return self.fields.hour.is_open

    @property
    def _counts_both_passes(self) -> bool:
        return self._is_interval or self.options.overlap == "twice"

    def _first_after(self, local: datetime) -> DueTime | None:
        """Return the first due time after a wall-clock time that the clock shows for the first or only time."""
        while (candidate := self._stepper.next_local(local)) is not None:
            change = clock_change_at(candidate, self._tz)
            if change is None or not change.is_gap:
                return self._due(candidate, fold=0)
            if self._matches(change.local_after):
                return DueTime(utc_ms_of(change.instant))
            if not self._is_made_good(candidate, change):
                return DueTime(utc_ms_of(change.instant), DST_GAP if self.options.gap == "skip" else "")
            local = _end_of_alike(candidate, change)
        return None

    def _first_after_in_overlap(self, local: datetime, overlap: ClockChange, *, in_second_pass: bool) -> DueTime | None:
        """Return the first due time after a wall-clock time that comes twice, when both passes count."""
        candidate = self._stepper.next_local(local)
        if not in_second_pass and (candidate is None or candidate >= overlap.local_before):
            in_second_pass = True
            candidate = self._stepper.next_local(overlap.local_after - _SECOND)
        if candidate is None:
            return None
        if candidate < overlap.local_before:
            return self._due(candidate, fold=int(in_second_pass))
        return self._first_after(candidate - _SECOND)

    def _is_made_good(self, missed: datetime, gap: ClockChange) -> bool:
        """Tell whether a match in a gap is no loss to an interval: the moment in its place is due as well."""
        return self._is_interval and self._matches(missed + (gap.local_after - gap.local_before))

    def _matches(self, local: datetime) -> bool:
        return self._stepper.next_local(local - _SECOND) == local

    def _due(self, local: datetime, *, fold: int) -> DueTime:
        return DueTime(utc_ms_of(local.replace(tzinfo=self._tz, fold=fold)))


def _end_of_alike(local: datetime, gap: ClockChange) -> datetime:
    """Return the last second that a gap treats like ``local``.

    A gap of whole hours moves neither minutes nor seconds, so one match of an hour speaks for all; searching second by
    second through a gap as long as a day would take seconds.
    """
    length = gap.local_after - gap.local_before
    last = gap.local_after - _SECOND
    if not length % _HOUR:
        return min(local.replace(minute=59, second=59), last)
    if not length % _MINUTE:
        return min(local.replace(second=59), last)
    return local
