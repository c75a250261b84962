"""The two day fields: what their letters mean, and which days of a month they select.

A month is given by the weekday of its first day (0 is Sunday) and its length, which is all that matters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .fields import DAY_OF_MONTH, DAY_OF_WEEK, Item, canonical_list, list_entries, parse_item, parse_value
from .options import DayRule
from .text_span import Span

_NEAREST = re.compile(r"([0-9]+)W", re.IGNORECASE)
_LAST = re.compile(r"([0-9A-Z]+?)L", re.IGNORECASE)
_NTH = re.compile(r"([^#]*)#([^#]*)")
_SATURDAY, _SUNDAY = 6, 0


@dataclass(frozen=True, slots=True)
class DayOfMonth:
    """Hold a parsed day-of-month field."""

    canonical: str
    is_restricted: bool
    days: frozenset[int] = frozenset()
    #: ``nW``: the weekday (Monday to Friday) nearest to day n, never leaving the month; none in a month without day n.
    nearest: frozenset[int] = frozenset()
    #: ``L``: the last day of the month.
    last: bool = False
    #: ``LW``: the last weekday (Monday to Friday) of the month.
    last_weekday: bool = False

    def selected(self, first_weekday: int, length: int) -> set[int]:
        """Return the days that the field selects in a month."""
        selected = {day for day in self.days if day <= length}
        selected |= {_nearest_weekday(day, first_weekday, length) for day in self.nearest if day <= length}
        if self.last:
            selected.add(length)
        if self.last_weekday:
            selected.add(_nearest_weekday(length, first_weekday, length))
        return selected


@dataclass(frozen=True, slots=True)
class DayOfWeek:
    """Hold a parsed day-of-week field. Weekdays are 0-6 from Sunday; 7 has become 0."""

    canonical: str
    is_restricted: bool
    weekdays: frozenset[int] = frozenset()
    #: ``nL``: the last such weekday of the month.
    last: frozenset[int] = frozenset()
    #: ``n#k``: the k-th such weekday of the month, as (weekday, k); none in a month that has only four.
    nth: frozenset[tuple[int, int]] = frozenset()

    def selected(self, first_weekday: int, length: int) -> set[int]:
        """Return the days that the field selects in a month."""
        selected = set()
        for day in range(1, length + 1):
            weekday = (first_weekday + day - 1) % 7
            if (
                weekday in self.weekdays
                or (weekday in self.last and day + 7 > length)
                or (weekday, (day + 6) // 7) in self.nth
            ):
                selected.add(day)
        return selected


def days_selected(
    of_month: DayOfMonth, of_week: DayOfWeek, day_rule: DayRule, first_weekday: int, length: int
) -> tuple[int, ...]:
    """Return the days of a month that both fields together select, ascending.

    An unrestricted field leaves the choice to the other; two restricted fields follow the day rule.
    """
    if not of_week.is_restricted:
        if not of_month.is_restricted:
            return tuple(range(1, length + 1))
        return tuple(sorted(of_month.selected(first_weekday, length)))
    by_week = of_week.selected(first_weekday, length)
    if of_month.is_restricted:
        by_month = of_month.selected(first_weekday, length)
        by_week = by_week | by_month if day_rule == "either" else by_week & by_month
    return tuple(sorted(by_week))


def _nearest_weekday(day: int, first_weekday: int, length: int) -> int:
    weekday = (first_weekday + day - 1) % 7
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def parse_day_of_month(span: Span) -> DayOfMonth:
    """Parse the day-of-month field: plain items, ``nW``, and alone in their field ``L`` and ``LW``."""
    if span.text.upper() in {"L", "LW"}:
        is_last = span.text.upper() == "L"
        return DayOfMonth(span.text.upper(), is_restricted=True, last=is_last, last_weekday=not is_last)
    items: list[Item] = []
    nearest: set[int] = set()
    for entry in list_entries(span, DAY_OF_MONTH):
        if "L" in entry.text.upper():
            raise DAY_OF_MONTH.refuse(entry, "L and LW stand alone, without lists, ranges or steps")
        if match := _NEAREST.fullmatch(entry.text):
            day = parse_value(entry.part(0, match.end(1)), DAY_OF_MONTH)
            nearest.add(day)
            items.append(Item(range(0), f"{day}W"))
        else:
            items.append(parse_item(entry, DAY_OF_MONTH))
    return DayOfMonth(
        canonical_list(items),
        is_restricted=not any(item.is_wildcard for item in items),
        days=frozenset(day for item in items for day in item.values),
        nearest=frozenset(nearest),
    )


def parse_day_of_week(span: Span) -> DayOfWeek:
    """Parse the day-of-week field: plain items, ``n#k``, and alone in their field ``nL`` and ``L`` (Sunday)."""
    if span.text.upper() == "L":
        return DayOfWeek("7", is_restricted=True, weekdays=frozenset({_SUNDAY}))
    if match := _LAST.fullmatch(span.text):
        weekday = parse_value(span.part(0, match.end(1)), DAY_OF_WEEK) % 7
        return DayOfWeek(f"{weekday}L", is_restricted=True, last=frozenset({weekday}))
    items: list[Item] = []
    nth: set[tuple[int, int]] = set()
    for entry in list_entries(span, DAY_OF_WEEK):
        if "L" in entry.text.upper():
            raise DAY_OF_WEEK.refuse(entry, "L stands alone, without lists, ranges or steps")
        if match := _NTH.fullmatch(entry.text):
            weekday = parse_value(entry.part(0, match.end(1)), DAY_OF_WEEK) % 7
            which = entry.part(match.start(2))
            if which.text not in {"1", "2", "3", "4", "5"}:
                raise DAY_OF_WEEK.refuse(which, f"{which.text!r} is not the number of a week, those are 1-5")
            nth.add((weekday, int(which.text)))
            items.append(Item(range(0), f"{weekday}#{which.text}"))
        else:
            items.append(parse_item(entry, DAY_OF_WEEK))
    return DayOfWeek(
        canonical_list(items),
        is_restricted=not any(item.is_wildcard for item in items),
        weekdays=frozenset(day % 7 for item in items for day in item.values),
        nth=frozenset(nth),
    )
