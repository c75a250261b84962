"""Schedules that a beat keeps: each is asked about its own grid and rules, however alike their texts are."""

from typing import Any

import pytest
from unit.timed_invocations import some_timed

from cloud_assistant.beat.calendars import calendar_for
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.schedule import DueTime
from cloud_assistant.broker_config.timed.timed_invocation import Timed

#: 2026-03-29 01:00 and 2026-10-25 00:30 UTC: in Berlin 02:30 does not come, and comes twice.
GAP_MS, TWICE_MS = 1_774_746_000_000, 1_792_888_200_000


def timed(anchor_ms: int = 0, **schedule: Any) -> Timed:
    return some_timed(Schedule(repeat_mode=RepeatMode.PERIOD, **schedule), anchor_ms=anchor_ms)


@pytest.mark.parametrize("text", ["rate(10 m)", " RATE (10 m)"])
def test_each_rate_has_the_grid_of_its_own_beginning(text: str) -> None:
    for anchor_ms in (1_000, 5_000):
        assert calendar_for(timed(anchor_ms, frequency=text)).next_after(anchor_ms) == DueTime(anchor_ms + 600_000)


def test_schedules_that_differ_in_a_rule_alone_are_not_taken_for_one_another() -> None:
    berlin: dict[str, Any] = {"frequency": "0 30 2 * * *", "timezone": "Europe/Berlin"}
    assert calendar_for(timed(**berlin)).next_after(GAP_MS - 1) == DueTime(GAP_MS)
    assert calendar_for(timed(**berlin, dst_gap="skip")).next_after(GAP_MS - 1) == DueTime(GAP_MS, "dst_gap")
    once, twice = calendar_for(timed(**berlin)), calendar_for(timed(**berlin, dst_overlap="twice"))
    assert once.next_after(TWICE_MS) == DueTime(TWICE_MS + 25 * 3_600_000)
    assert twice.next_after(TWICE_MS) == DueTime(TWICE_MS + 3_600_000)
    tokyo: dict[str, Any] = {**berlin, "timezone": "Asia/Tokyo"}
    assert calendar_for(timed(**tokyo)).next_after(GAP_MS) == DueTime(GAP_MS + 16 * 3_600_000 + 1_800_000)
    days: dict[str, Any] = {"frequency": "0 0 12 13 * 5"}
    either, both = calendar_for(timed(**days)), calendar_for(timed(**days, day_rule="both"))
    assert either.next_after(GAP_MS) != both.next_after(GAP_MS)
