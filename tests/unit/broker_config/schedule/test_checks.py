"""Refusing a schedule that never runs, or runs too often for its timeout."""

from datetime import UTC, datetime

import pytest

from cloud_assistant.broker_config.schedule import InvalidFrequency, ScheduleOptions
from cloud_assistant.broker_config.schedule.checks import check_future, check_interval
from cloud_assistant.broker_config.schedule.frequency import parse_frequency

NOW_MS = round(datetime(2026, 11, 23, 10, 1, 1, tzinfo=UTC).timestamp() * 1000)


def check_close(text: str, minimum: int, timeout: int, zone: str = "UTC") -> None:
    schedule = parse_frequency(text, default_zone=zone, anchor_ms=NOW_MS)
    check_interval(schedule, minimum_interval_seconds=minimum, timeout_seconds=timeout, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("text", "minimum", "timeout"),
    [
        ("*/10 * * * * *", 10, 5),
        ("0 * * * * *", 10, 60),
        ("0 0 0 * * *", 10, 86_400),
        ("0 0 0 1,15 * *", 10, 14 * 86_400),
        ("0 0 0,23 1 * *", 10, 82_800),
        ("rate(61s)", 61, 60),
        ("at(2027-01-01 00:00:00)", 86_400, 86_400),
        ("0 0 0 31 12 ? 2026", 10, 10**9),
        # Their seconds are close together, but the only close pairs lie in the past.
        ("0,5 0 0 1 1 ? 2026", 10, 60),
        # 03:00:05 comes five seconds after the made-up 02:30 once a year: clock changes refuse nothing.
        ("5 0,30 2,3 * * * America/New_York", 10, 60),
    ],
)
def test_runs_far_enough_apart_are_accepted(text: str, minimum: int, timeout: int) -> None:
    check_close(text, minimum, timeout)


@pytest.mark.parametrize(
    ("text", "minimum", "timeout", "first", "second"),
    [
        ("*/5 * * * * *", 10, 1, "2026-11-23T10:01:05+00:00", "2026-11-23T10:01:10+00:00"),
        ("0 * * * * *", 10, 61, "2026-11-23T10:02:00+00:00", "2026-11-23T10:03:00+00:00"),
        ("59,0 * * * * *", 10, 1, "2026-11-23T10:01:59+00:00", "2026-11-23T10:02:00+00:00"),
        # Today's pair is over; tomorrow's is not.
        ("0 0,1 9 * * *", 10, 300, "2026-11-24T09:00:00+00:00", "2026-11-24T09:01:00+00:00"),
        # What is left of today is a single run; tomorrow has the close ones again.
        ("0 0,1,30 10 * * *", 10, 300, "2026-11-24T10:00:00+00:00", "2026-11-24T10:01:00+00:00"),
        ("0 0 0,23 * * *", 10, 7200, "2026-11-23T23:00:00+00:00", "2026-11-24T00:00:00+00:00"),
        ("0 0 0,23 1,31 * *", 10, 7200, "2026-12-31T23:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("0 0 0 15W,17W * *", 10, 90_000, "2027-04-15T00:00:00+00:00", "2027-04-16T00:00:00+00:00"),
        ("0 0 0 29 2 *", 10, 200_000_000, "2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"),
        ("rate(60s)", 10, 60, "2026-11-23T10:02:01+00:00", "2026-11-23T10:03:01+00:00"),
        ("rate(60s)", 61, 1, "2026-11-23T10:02:01+00:00", "2026-11-23T10:03:01+00:00"),
    ],
)
def test_runs_too_close_together_are_refused_with_both_due_times(
    text: str, minimum: int, timeout: int, first: str, second: str
) -> None:
    with pytest.raises(InvalidFrequency) as refused:
        check_close(text, minimum, timeout)
    assert f"due times {first} and {second} are" in refused.value.reason
    assert f"minimum interval {minimum} s, timeout {timeout} s" in refused.value.reason
    assert refused.value.position is None


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ((10, 0, 0), "(minimum interval 10 s); let it be due less often, or lower beat.minimum_interval_seconds"),
        ((10, 60, 0), "(minimum interval 10 s, timeout 60 s); let it be due less often, or lower the timeout"),
        ((10, 0, 300), "(minimum interval 10 s, jitter 300 s); let it be due less often, or lower the jitter"),
    ],
)
def test_a_refusal_names_what_asks_for_the_distance_and_how_to_mend_it(limits: tuple[int, int, int], told: str) -> None:
    minimum, timeout, jitter = limits
    schedule = parse_frequency("*/5 * * * * *", default_zone="UTC", anchor_ms=NOW_MS)
    with pytest.raises(InvalidFrequency) as refused:
        check_interval(
            schedule,
            minimum_interval_seconds=minimum,
            timeout_seconds=timeout,
            jitter_seconds=jitter,
            now_ms=NOW_MS,
        )
    assert refused.value.reason.endswith(told)


def test_the_due_times_in_a_refusal_are_in_the_zone_of_the_schedule() -> None:
    with pytest.raises(InvalidFrequency, match=r"2026-11-23T15:46:05\+05:45 and 2026-11-23T15:46:10\+05:45 are 5 s"):
        check_close("*/5 * * * * *", 10, 1, "Asia/Kathmandu")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0 0 30 2 ?", "no run in the future"),
        ("0 0 0 * * ? 2020", "no run in the future"),
        ("0 0 10 23 11 ? 2026", "no run in the future"),
        ("at(2026-11-23 10:01:01)", "2026-11-23T10:01:01+00:00 is in the past"),
        ("at(2026-11-23 18:00:00 GMT+8:00)", "2026-11-23T18:00:00+08:00 is in the past"),
    ],
)
def test_a_schedule_without_a_future_run_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidFrequency) as refused:
        check_future(parse_frequency(text, anchor_ms=NOW_MS), NOW_MS)
    assert reason in refused.value.reason


@pytest.mark.parametrize("text", ["0 2 10 23 11 ? 2026", "rate(7d)", "at(2026-11-23 10:01:02)", "0 0 0 29 2 ? 2096"])
def test_a_schedule_with_a_future_run_is_accepted(text: str) -> None:
    check_future(parse_frequency(text, anchor_ms=NOW_MS), NOW_MS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 30 2 14 3 ? 2027 America/New_York", "no run in the future"),
        ("at(2027-03-14 02:30:00 America/New_York)", "2027-03-14 02:30:00 never comes in America/New_York"),
    ],
)
def test_a_schedule_that_would_only_ever_be_skipped_is_refused(text: str, reason: str) -> None:
    skipping = parse_frequency(text, anchor_ms=NOW_MS, options=ScheduleOptions(gap="skip"))
    with pytest.raises(InvalidFrequency) as refused:
        check_future(skipping, NOW_MS)
    assert reason in refused.value.reason
    check_future(parse_frequency(text, anchor_ms=NOW_MS), NOW_MS)
