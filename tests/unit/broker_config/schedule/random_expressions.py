"""Random cron expressions, each with its meaning in plain Python, for tests to compare with."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hypothesis import strategies as st

DAY = timedelta(days=1)
DAY_WORDS = ["SUN", "mon", "Tue", "WED", "thu", "FRI", "sat"]


@dataclass(frozen=True)
class Part:
    """One field: its text, what it means, and how it was put."""

    text: str
    values: frozenset[int] = frozenset()
    form: str = "list"
    selects: Callable[[date], bool] | None = None


@dataclass(frozen=True)
class Expression:
    """A whole expression, readable by the oracles."""

    second: Part
    minute: Part
    hour: Part
    day: Part
    month: Part
    weekday: Part
    day_rule: str = "either"

    @property
    def text(self) -> str:
        parts = (self.second, self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(part.text for part in parts)

    @property
    def is_interval(self) -> bool:
        return self.hour.form in {"*", "step", "full"} and len(self.hour.values) > 1

    def has_date(self, day: date) -> bool:
        if day.month not in self.month.values:
            return False
        by_month, by_week = self.day.selects, self.weekday.selects
        if by_month is None or by_week is None:
            return all(selects is None or selects(day) for selects in (by_month, by_week))
        if self.day_rule == "either":
            return by_month(day) or by_week(day)
        return by_month(day) and by_week(day)

    def has_minute(self, local: datetime) -> bool:
        return local.minute in self.minute.values and local.hour in self.hour.values and self.has_date(local.date())


def plain(low: int, high: int, near: tuple[int, ...] = ()) -> st.SearchStrategy[Part]:
    """Draw a field of numbers; values of ``near`` are drawn more often."""
    value = st.integers(low, high)
    if near:
        value = st.sampled_from(near) | value

    @st.composite
    def listed(draw: st.DrawFn) -> Part:
        values = draw(st.lists(value, min_size=1, max_size=4))
        return Part(",".join(draw(st.sampled_from([f"{v}", f"{v:02}"])) for v in values), frozenset(values))

    @st.composite
    def ranged(draw: st.DrawFn) -> Part:
        first, last = sorted((draw(value), draw(value)))
        form = "full" if (first, last) == (low, high) else "list"
        return Part(f"{first}-{last}", frozenset(range(first, last + 1)), form)

    @st.composite
    def stepped(draw: st.DrawFn) -> Part:
        step = draw(st.integers(2, min(high, 30)))
        first = draw(st.none() | value)
        text = "*" if first is None else str(first)
        return Part(f"{text}/{step}", frozenset(range(low if first is None else first, high + 1, step)), "step")

    every = st.sampled_from([Part("*", frozenset(range(low, high + 1)), "*")])
    return st.one_of(listed(), every, ranged(), stepped())


def nearest_weekday_to(n: int) -> Callable[[date], bool]:
    """Say whether a date is the weekday of its month that lies nearest to day n."""

    def selects(day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        if n > length:
            return False
        weekdays = [d for d in range(1, length + 1) if date(day.year, day.month, d).weekday() < 5]
        return day.day == min(weekdays, key=lambda d: abs(d - n))

    return selects


def is_last_day(day: date) -> bool:
    return (day + DAY).day == 1


def is_last_weekday(day: date) -> bool:
    rest = [day + k * DAY for k in range(1, 4) if (day + k * DAY).month == day.month]
    return day.weekday() < 5 and all(later.weekday() >= 5 for later in rest) and (day + 4 * DAY).month != day.month


@st.composite
def days_of_month(draw: st.DrawFn) -> Part:
    form = draw(st.sampled_from(["*", "?", "plain", "L", "LW", "W"]))
    if form in {"*", "?"}:
        return Part(form, form="*")
    if form == "L":
        return Part("L", form=form, selects=is_last_day)
    if form == "LW":
        return Part("lw", form=form, selects=is_last_weekday)
    if form == "W":
        near = draw(st.lists(st.integers(1, 31), min_size=1, max_size=2))
        rules = [nearest_weekday_to(n) for n in near]
        return Part(",".join(f"{n}W" for n in near), form=form, selects=lambda day: any(rule(day) for rule in rules))
    part = draw(plain(1, 31).filter(lambda part: part.form != "*"))
    return Part(part.text, form=part.form, selects=lambda day: day.day in part.values)


@st.composite
def days_of_week(draw: st.DrawFn) -> Part:
    form = draw(st.sampled_from(["*", "?", "plain", "words", "nL", "n#k", "L"]))
    if form in {"*", "?"}:
        return Part(form, form="*")
    if form == "plain":
        part = draw(plain(0, 7).filter(lambda part: part.form != "*"))
        return Part(
            part.text, form=part.form, selects=lambda day: bool({day.isoweekday() % 7, day.isoweekday()} & part.values)
        )
    if form == "L":
        return Part("L", form=form, selects=lambda day: day.weekday() == 6)
    n = draw(st.integers(0, 6))
    if form == "words":
        last = draw(st.integers(n, 6))
        text = DAY_WORDS[n] if last == n else f"{DAY_WORDS[n]}-{DAY_WORDS[last]}"
        return Part(text, selects=lambda day: n <= day.isoweekday() % 7 <= last)
    if form == "nL":
        return Part(
            f"{n}L", form=form, selects=lambda day: day.isoweekday() % 7 == n and (day + 7 * DAY).month != day.month
        )
    k = draw(st.integers(1, 5))

    def is_kth(day: date) -> bool:
        return day.isoweekday() % 7 == n and (day - (k - 1) * 7 * DAY).month == day.month != (day - k * 7 * DAY).month

    return Part(f"{n}#{k}", form=form, selects=is_kth)


months = st.sampled_from([Part("*", frozenset(range(1, 13)), "*")]) | plain(1, 12)
everyday = st.sampled_from([Part("*", form="*")])


@st.composite
def expressions(draw: st.DrawFn, *, hours: st.SearchStrategy[Part], plain_days: bool = False) -> Expression:
    return Expression(
        second=draw(st.sampled_from([Part("0", frozenset({0})), Part("7,59", frozenset({7, 59}))])),
        minute=draw(plain(0, 59, near=(0, 30))),
        hour=draw(hours),
        day=draw(everyday if plain_days else days_of_month()),
        month=draw(months.filter(lambda part: part.form == "*") if plain_days else months),
        weekday=draw(everyday if plain_days else days_of_week()),
        day_rule=draw(st.sampled_from(["either", "both"])),
    )


any_expression = expressions(hours=plain(0, 23))
moments = st.datetimes(datetime(1970, 1, 1), datetime(2099, 6, 1)).map(lambda moment: moment.replace(microsecond=0))
