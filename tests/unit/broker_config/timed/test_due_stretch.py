"""Counting due times by arithmetic agrees with stepping through them, also where clocks change."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_assistant.broker_config.schedule import Schedule, ScheduleOptions
from cloud_assistant.broker_config.schedule.frequency import parse_frequency
from cloud_assistant.broker_config.timed.due_stretch import count_due, first_due, last_due

DAY_MS = 86_400_000
FREQUENCIES = (
    "0 */10 * * * *",
    "*/30 0-59/7 1-5 * * *",
    "0 30 2 * * *",
    "0 30 1 * * *",
    "0 10 1 * * 6,0",
    "0 0 */2 15W * ?",
    "0 15 10 L * ?",
    "0 0 * 1 * 5",
    "0 0 12 1 1 ? 2026",
    "rate(90 s)",
    "at(2026-03-29 02:30:00 Europe/Berlin)",
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia")
MOMENTS = st.integers(1_293_840_000_000, 1_830_000_000_000)  # 2011 to 2027


def stepped(schedule: Schedule, after_ms: int, until_ms: int) -> list[int]:
    found = []
    due = schedule.next_after(after_ms)
    while due is not None and due.utc_ms <= until_ms:
        found.append(due.utc_ms)
        due = schedule.next_after(due.utc_ms)
    return found


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    options = ScheduleOptions(
        gap=draw(st.sampled_from(("run_after", "skip"))), overlap=draw(st.sampled_from(("once", "twice")))
    )
    text = draw(st.sampled_from(FREQUENCIES))
    return parse_frequency(
        text, default_zone=draw(st.sampled_from(ZONES)), anchor_ms=1_293_840_000_123, options=options
    )


@settings(max_examples=60)
@given(schedules(), MOMENTS, st.integers(0, 8 * DAY_MS))
def test_a_count_is_the_number_of_steps(schedule: Schedule, after_ms: int, width_ms: int) -> None:
    assert count_due(schedule, after_ms, after_ms + width_ms) == len(stepped(schedule, after_ms, after_ms + width_ms))


@settings(max_examples=60)
@given(schedules(), MOMENTS, st.integers(0, 8 * DAY_MS), st.integers(1, 5))
def test_the_last_and_the_first_are_those_of_the_steps(
    schedule: Schedule, after_ms: int, width_ms: int, count: int
) -> None:
    every = stepped(schedule, after_ms, after_ms + width_ms)
    assert [due.utc_ms for due in last_due(schedule, after_ms, after_ms + width_ms, count)] == every[-count:]
    assert [due.utc_ms for due in first_due(schedule, after_ms, after_ms + width_ms, count)] == every[:count]


def test_the_days_of_both_clock_changes_are_counted_as_they_are() -> None:
    schedule = parse_frequency("0 0 * * * *", default_zone="Europe/Berlin", anchor_ms=0)
    for day, hours in ((datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)):
        start_ms = int(day.timestamp() * 1000) - 1
        assert count_due(schedule, start_ms, start_ms + hours * 3_600_000) == hours


@pytest.mark.parametrize("frequency", ["0 30 2 * * *", "0 15,45 1-3 * * *", "0 0 */2 * * *"])
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
)
def test_stretches_that_begin_and_end_near_a_clock_change_are_counted_as_they_are(
    frequency: str, zone: str, change: datetime
) -> None:
    schedule = parse_frequency(frequency, default_zone=zone, anchor_ms=0)
    change_ms = int(change.timestamp() * 1000)
    for start_ms in range(change_ms - 6 * 3_600_000, change_ms + 4 * 3_600_000, 35 * 60_000):
        for width_ms in (40 * 60_000, 5 * 3_600_000, 27 * 3_600_000):
            until_ms = start_ms + width_ms
            assert count_due(schedule, start_ms, until_ms) == len(stepped(schedule, start_ms, until_ms)), start_ms


def test_what_came_twice_is_counted_once_up_to_the_end_of_the_longest_change() -> None:
    """Casey's clock went back by three hours, from 02:00 to 23:00: no zone's has gone back by more."""
    schedule = parse_frequency("0 45 1 * * *", default_zone="Antarctica/Casey", anchor_ms=0)
    ends = (datetime(2010, 3, 4, 17, 30, tzinfo=UTC), datetime(2010, 3, 4, 18, 30, tzinfo=UTC))
    after_ms, until_ms = (round(end.timestamp() * 1000) for end in ends)
    assert count_due(schedule, after_ms, until_ms) == len(stepped(schedule, after_ms, until_ms)) == 0


def test_a_year_of_seconds_is_counted_without_stepping_through_it() -> None:
    schedule = parse_frequency("* * * * * *", default_zone="Asia/Shanghai", anchor_ms=0)
    start_ms = 1_767_225_600_000
    assert count_due(schedule, start_ms, start_ms + 365 * DAY_MS) == 365 * 86_400


@pytest.mark.parametrize("text", ["* * * * * *", "rate(60 s)", "at(1970-01-01 00:02:00)"])
def test_an_empty_stretch_holds_nothing(text: str) -> None:
    schedule = parse_frequency(text, default_zone="UTC", anchor_ms=0)
    assert count_due(schedule, 60_000, 60_000) == 0
    assert count_due(schedule, 120_000, 60_000) == 0
    assert last_due(schedule, 60_000, 60_000, 3) == []
    assert last_due(schedule, 120_000, 60_000, 3) == []
    assert last_due(schedule, 60_000, 300_000, 0) == []
