"""A rate keeps to the grid of its creation time."""

from itertools import pairwise

import pytest

from cloud_assistant.broker_config.schedule import DueTime, Schedule
from cloud_assistant.broker_config.schedule.frequency import parse_frequency

CREATED_MS = 1_700_000_000_123


def rate(text: str, zone: str = "UTC") -> Schedule:
    return parse_frequency(text, default_zone=zone, anchor_ms=CREATED_MS)


@pytest.mark.parametrize(
    ("text", "interval_ms"),
    [("rate(60s)", 60_000), ("rate(5m)", 300_000), ("rate(2 h)", 7_200_000), ("rate(7d)", 604_800_000)],
)
def test_the_first_run_is_one_interval_after_the_creation_and_the_others_follow_on_the_grid(
    text: str, interval_ms: int
) -> None:
    expected = [DueTime(CREATED_MS + interval_ms * step) for step in (1, 2, 3)]
    assert list(rate(text).due_times(CREATED_MS, 3)) == expected
    assert rate(text).next_after(0) == expected[0]


def test_a_late_question_is_answered_from_the_grid() -> None:
    late = CREATED_MS + 300_000 * 1000
    assert rate("rate(5m)").next_after(late - 1) == DueTime(late)
    assert rate("rate(5m)").next_after(late) == DueTime(late + 300_000)
    assert rate("rate(5m)").next_after(late + 299_999) == DueTime(late + 300_000)


def test_clock_changes_do_not_touch_a_rate() -> None:
    hourly = rate("rate(1h)", "America/New_York")
    due = list(hourly.due_times(1_793_500_000_000, 24))  # across 1 November 2026
    assert {late.utc_ms - early.utc_ms for early, late in pairwise(due)} == {3_600_000}
    assert {hourly.local_text(one)[-6:] for one in due} == {"-04:00", "-05:00"}
