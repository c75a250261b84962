"""Due times of random cron expressions, against oracles that share no code with the implementation.

* A walk over the calendar: every minute of a stretch of time is asked "does the wall clock match?", and the rules of
  clock changes are applied literally.
* cronsim, where it reads an expression as we do.
* Our two steppers against each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, example, given
from hypothesis import strategies as st
from unit.broker_config.schedule.random_expressions import (
    Expression,
    Part,
    any_expression,
    expressions,
    moments,
    plain,
)

from cloud_assistant.broker_config.schedule import DueTime, InvalidFrequency, ScheduleOptions
from cloud_assistant.broker_config.schedule.calendar_stepping import CalendarStepper
from cloud_assistant.broker_config.schedule.checks import check_interval
from cloud_assistant.broker_config.schedule.cron import CronSchedule
from cloud_assistant.broker_config.schedule.croniter_stepping import CroniterStepper, croniter_expression
from cloud_assistant.broker_config.schedule.frequency import parse_frequency

ZONES = [
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Europe/London",
    "America/New_York",
    "Africa/Casablanca",  # back and forth around every Ramadan
    "Asia/Shanghai",
    "Pacific/Chatham",  # an hour of daylight saving that begins at a quarter to
    "Asia/Kathmandu",  # +5:45, and a change of fifteen minutes in 1986
    "Pacific/Apia",  # no 30 December 2011
    "America/Sao_Paulo",  # gaps and overlaps at midnight
    "America/Havana",
    "Antarctica/Troll",  # two hours of daylight saving
    "Asia/Pyongyang",
    "UTC",
]
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def schedule_of(text: str, zone: str, **options: Any) -> CronSchedule:
    schedule = parse_frequency(text, default_zone=zone, anchor_ms=0, options=ScheduleOptions(**options))
    assert isinstance(schedule, CronSchedule)
    return schedule


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# --- the plain calendar -----------------------------------------------------------------------------------------


def walk_to_next(expression: Expression, after: datetime, *, days: int) -> datetime | None:
    """Look at every date, then at every minute and second of the date that has one, within some days."""
    for offset in range(days):
        day = after.date() + offset * DAY
        if not expression.has_date(day):
            continue
        for minute in range(24 * 60):
            local = datetime(day.year, day.month, day.day) + minute * MINUTE
            if not expression.has_minute(local) or local + MINUTE <= after:
                continue
            for second in sorted(expression.second.values):
                if local.replace(second=second) > after:
                    return local.replace(second=second)
    return None


@given(any_expression, moments)
def test_the_calendar_stepper_finds_what_a_walk_over_the_calendar_finds(
    expression: Expression, after: datetime
) -> None:
    schedule = schedule_of(expression.text, "UTC", day_rule=expression.day_rule)
    days = 70
    expected = walk_to_next(expression, after, days=days)
    found = schedule.calendar.next_local(after)
    if expected is None:
        assert found is None or found >= datetime.combine(after.date() + days * DAY, datetime.min.time())
    else:
        assert found == expected


@given(any_expression, moments)
def test_croniter_and_the_calendar_stepper_agree_wherever_croniter_is_used(
    expression: Expression, after: datetime
) -> None:
    schedule = schedule_of(expression.text, "UTC", day_rule=expression.day_rule)
    text = croniter_expression(schedule.fields)
    assume(text is not None)
    assert text is not None
    by_croniter = CroniterStepper(text, schedule.options.day_rule)
    by_calendar = CalendarStepper(schedule.fields, schedule.options.day_rule)
    for _ in range(5):
        found = by_calendar.next_local(after)
        assert by_croniter.next_local(after) == found
        if found is None:
            break
        after = found


def cronsim_text(expression: Expression) -> str:
    """Return the expression for cronsim, or leave out the example where it means something else there."""
    assume(expression.day.form != "W" and expression.weekday.form != "L")  # unknown to cronsim
    both = expression.day.form != "*" and expression.weekday.form != "*"
    # A field that begins with a star counts as unrestricted there, also */2; its rule for two fields is the union.
    assume(not both or (expression.day_rule == "either" and "*" not in expression.day.text + expression.weekday.text))
    assume(not re.search("[a-z]{4}", expression.text))
    return expression.text.replace("?", "*").upper()


#: Every 28 years; the fifth due time of it is behind the end of our calendar, wherever one begins.
FIFTH_MONDAY_OF_FEBRUARY = Expression(
    second=Part("0", frozenset({0})),
    minute=Part("0", frozenset({0})),
    hour=Part("0", frozenset({0})),
    day=Part("*", form="*"),
    month=Part("2", frozenset({2})),
    weekday=Part("1#5", form="n#k", selects=lambda day: day.weekday() == 0 and day.day > 28),
)


@given(any_expression, moments.filter(lambda moment: moment.year < 2045))
@example(FIFTH_MONDAY_OF_FEBRUARY, datetime(1970, 1, 1))
def test_due_times_in_utc_are_those_of_cronsim(expression: Expression, after: datetime) -> None:
    text = cronsim_text(expression)
    schedule = schedule_of(expression.text, "UTC", day_rule=expression.day_rule)
    try:
        simulated = takewhile(lambda moment: moment.year < 2100, CronSim(text, after.replace(tzinfo=UTC)))
        expected = [ms(moment) for moment in islice(simulated, 5)]
    except CronSimError:
        # It refuses a date that no month has, such as 30 February; to us that is never due.
        expected = []
    assert [due.utc_ms for due in schedule.due_times(ms(after.replace(tzinfo=UTC)), 5)] == expected


# --- clock changes ----------------------------------------------------------------------------------------------


@lru_cache
def transitions(zone: str) -> list[datetime]:
    """Find the instants (to the minute) at which a zone's offset changes, 1975 to 2090, by looking."""
    tz, found = ZoneInfo(zone), []
    early = datetime(1975, 1, 1, tzinfo=UTC)
    offset = early.astimezone(tz).utcoffset()
    while early.year < 2090:
        if (early + DAY).astimezone(tz).utcoffset() != offset:
            moment = early
            while moment.astimezone(tz).utcoffset() == offset:
                moment += MINUTE
            found.append(moment)
            offset = moment.astimezone(tz).utcoffset()
        early += DAY
    return found


def walk_due_times(
    expression: Expression, tz: ZoneInfo, start: datetime, end: datetime, *, gap: str, overlap: str
) -> list[DueTime]:
    """List the due times from ``start`` up to ``end`` (whole minutes, UTC) by asking every minute."""
    due: dict[int, str] = {}
    moment = start
    before = (start - MINUTE).astimezone(tz)
    while moment < end:
        here = moment.astimezone(tz)
        jump = (here.utcoffset() or timedelta(0)) - (before.utcoffset() or timedelta(0))
        lands_on_match = expression.has_minute(here.replace(tzinfo=None)) and 0 in expression.second.values
        if jump > timedelta(0) and not lands_on_match:
            lost = list(lost_in_gap(expression, before.replace(tzinfo=None) + MINUTE, jump))
            if lost:
                due[ms(moment)] = "dst_gap" if gap == "skip" else ""
        counts = here.fold == 0 or expression.is_interval or overlap == "twice"
        if counts and expression.has_minute(here.replace(tzinfo=None)):
            for second in expression.second.values:
                due[ms(moment) + second * 1000] = ""
        before = here
        moment += MINUTE
    return [DueTime(utc_ms, skipped) for utc_ms, skipped in sorted(due.items())]


def lost_in_gap(expression: Expression, first: datetime, length: timedelta) -> Iterator[datetime]:
    """List the matching minutes that a gap leaves out, without those whose place an interval fills anyway."""
    for minute in range(length // MINUTE):
        local = first + minute * MINUTE
        filled = expression.is_interval and expression.has_minute(local + length)
        if expression.has_minute(local) and not filled:
            yield local


@st.composite
def stretches(draw: st.DrawFn) -> tuple[str, datetime, tuple[int, ...]]:
    """Draw a zone, an instant at or near one of its clock changes, and the hours of the wall clock around it."""
    zone = draw(st.sampled_from(ZONES))
    instants = transitions(zone) or [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    # The dates worth a look are few in some zones: without a bias Apia's lost day would hardly ever be drawn.
    moment = draw(st.sampled_from(instants))
    tz = ZoneInfo(zone)
    around = tuple((moment + k * timedelta(minutes=30)).astimezone(tz).hour for k in (-3, -2, -1, 0, 1, 2))
    lost = ((moment - MINUTE).astimezone(tz).replace(tzinfo=None) + MINUTE).hour
    return zone, moment, (*around, lost, lost)


@given(st.data(), stretches(), st.sampled_from(["run_after", "skip"]), st.sampled_from(["once", "twice"]))
def test_due_times_around_clock_changes_are_those_of_a_walk_over_every_minute(
    data: st.DataObject, stretch: tuple[str, datetime, tuple[int, ...]], gap: str, overlap: str
) -> None:
    zone, moment, near = stretch
    hours = plain(0, 23, near=near)
    expression = data.draw(expressions(hours=hours, plain_days=True) | expressions(hours=hours))
    start, end = moment - timedelta(hours=15), moment + timedelta(hours=15)
    expected = walk_due_times(expression, ZoneInfo(zone), start, end, gap=gap, overlap=overlap)
    schedule = schedule_of(expression.text, zone, day_rule=expression.day_rule, gap=gap, overlap=overlap)
    found, after = [], ms(start) - 1
    while (due := schedule.next_after(after)) is not None and due.utc_ms < ms(end):
        found.append(due)
        after = due.utc_ms
    assert found == expected
    # From anywhere in between, also from the middle of the gap's or overlap's second, the answer is the same.
    probe = data.draw(st.integers(ms(start), ms(end)))
    following = [due for due in expected if due.utc_ms > probe]
    if following:
        assert schedule.next_after(probe) == following[0]


@given(st.data(), stretches())
def test_fixed_times_around_clock_changes_are_those_of_cronsim(
    data: st.DataObject, stretch: tuple[str, datetime, tuple[int, ...]]
) -> None:
    zone, moment, near = stretch
    assume(zone != "Pacific/Apia")  # cronsim rebuilds a lost day from its minutes, and takes a second for it
    hour, minute = data.draw(st.sampled_from(near)), data.draw(st.integers(0, 59))
    start = moment - timedelta(days=3)
    simulated = CronSim(f"{minute} {hour} * * *", start.astimezone(ZoneInfo(zone)))
    expected = [ms(when) for _, when in zip(range(6), simulated, strict=False)]
    schedule = schedule_of(f"0 {minute} {hour} * * *", zone)
    assert [due.utc_ms for due in schedule.due_times(ms(start), 6)] == expected


# --- what must hold for every expression ------------------------------------------------------------------------


@given(any_expression, st.sampled_from(ZONES), moments, st.sampled_from(["run_after", "skip"]))
def test_a_preview_is_strictly_increasing_and_is_what_later_comes_due(
    expression: Expression, zone: str, after: datetime, gap: str
) -> None:
    schedule = schedule_of(expression.text, zone, day_rule=expression.day_rule, gap=gap)
    after_ms = ms(after.replace(tzinfo=UTC))
    preview = list(schedule.due_times(after_ms, 20))
    assert all(early.utc_ms < late.utc_ms for early, late in pairwise(preview))
    assert all(due.utc_ms > after_ms for due in preview)
    for early, late in pairwise(preview):
        assert schedule.next_after(late.utc_ms - 1) == late
        assert schedule.next_after(early.utc_ms) == schedule.next_after((early.utc_ms + late.utc_ms) // 2) == late


@given(any_expression, st.sampled_from(ZONES), moments)
def test_the_canonical_text_means_the_same(expression: Expression, zone: str, after: datetime) -> None:
    schedule = schedule_of(expression.text, zone, day_rule=expression.day_rule)
    again = schedule_of(schedule.canonical, "Asia/Tokyo", day_rule=expression.day_rule)
    after_ms = ms(after.replace(tzinfo=UTC))
    assert again.canonical == schedule.canonical
    assert again.zone == zone
    assert list(again.due_times(after_ms, 3)) == list(schedule.due_times(after_ms, 3))


@given(any_expression, moments, st.integers(1, 200_000))
def test_an_interval_is_refused_exactly_when_two_due_times_are_too_close(
    expression: Expression, after: datetime, required_seconds: int
) -> None:
    schedule = schedule_of(expression.text, "UTC", day_rule=expression.day_rule)
    now_ms = ms(after.replace(tzinfo=UTC))
    some = [due.utc_ms for due in schedule.due_times(now_ms, 60)]
    is_close = any(late - early < required_seconds * 1000 for early, late in pairwise(some))
    try:
        check_interval(schedule, minimum_interval_seconds=required_seconds, timeout_seconds=1, now_ms=now_ms)
    except InvalidFrequency as refused:
        first, second = (ms(datetime.fromisoformat(text)) for text in re.findall(r"\S+T\S+", refused.reason)[:2])
        assert now_ms < first
        assert schedule.next_after(first - 1) == DueTime(first)
        assert schedule.next_after(first) == DueTime(second)
        assert second - first < required_seconds * 1000
    else:
        assert not is_close


@given(
    st.text(st.sampled_from("0123456789*?,-/#LWRH@ \tabuGMT+:()éS٣"), max_size=40)
    | any_expression.flatmap(lambda e: st.text(max_size=3).map(lambda noise: e.text + noise))
)
def test_any_text_is_a_schedule_or_is_refused_with_a_position(text: str) -> None:
    refused = None
    try:
        schedule = parse_frequency(text, anchor_ms=0)
    except InvalidFrequency as refusal:
        refused = refusal
    if refused is None:
        schedule.next_after(0)
    else:
        assert refused.text == text
        assert refused.position is not None
        assert 0 <= refused.position <= len(text)
        assert refused.reason in str(refused)


@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_of_the_property_tests_changes_its_clock_except_where_it_never_did(zone: str) -> None:
    assert bool(transitions(zone)) is (zone != "UTC")
