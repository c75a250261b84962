"""One run at a wall-clock time."""

from datetime import datetime
from typing import Any

from cloud_assistant.broker_config.schedule import Schedule, ScheduleOptions
from cloud_assistant.broker_config.schedule.frequency import parse_frequency


def at(text: str, **options: Any) -> Schedule:
    return parse_frequency(text, anchor_ms=0, options=ScheduleOptions(**options))


def due(text: str, **options: Any) -> list[tuple[str, str]]:
    schedule = at(text, **options)
    return [(schedule.local_text(one), one.skipped) for one in schedule.due_times(0, 5)]


def test_it_is_due_exactly_once() -> None:
    assert due("at(2027-06-01 08:30:15)") == [("2027-06-01T08:30:15+00:00", "")]
    assert due("at(2027-06-01 08:30:15 GMT+5:45)") == [("2027-06-01T08:30:15+05:45", "")]


def test_at_its_own_time_it_is_not_due_again() -> None:
    moment = round(datetime.fromisoformat("2027-06-01T08:30:00+00:00").timestamp() * 1000)
    assert at("at(2027-06-01 08:30:00)").next_after(moment) is None
    assert at("at(2027-06-01 08:30:00)").next_after(moment - 1) is not None


def test_a_time_in_the_gap_runs_right_after_it_or_is_skipped() -> None:
    text = "at(2026-03-08 02:30:00 America/New_York)"
    assert due(text) == [("2026-03-08T03:00:00-04:00", "")]
    assert due(text, gap="skip") == [("2026-03-08T03:00:00-04:00", "dst_gap")]


def test_a_time_that_comes_twice_means_the_first_whatever_the_overlap_policy() -> None:
    text = "at(2026-11-01 01:30:00 America/New_York)"
    assert due(text) == due(text, overlap="twice") == [("2026-11-01T01:30:00-04:00", "")]
