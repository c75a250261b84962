"""What a request may say about when it runs."""

from dataclasses import replace
from typing import Any

import pytest
from unit.timed_invocations import some_invocation, some_timed

from cloud_assistant.broker_config.errors import NotFound, RequestInvalid
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.schedule import DueTime
from cloud_assistant.broker_config.settings_table import BeatSettings
from cloud_assistant.broker_config.timed.timed_invocation import TimedStatus
from cloud_assistant.producer.timed.checking import CheckedSchedule, check_schedule, check_timed
from cloud_assistant.producer.timed.modes import is_timed, repeat_mode
from cloud_assistant.producer.timed.shapes import preview_shape
from cloud_assistant.producer.timed.showing import left_to_run, moment_ms, preview

#: 2026-11-23 00:00:00 UTC.
NOW_MS = 1_795_392_000_000


def check(frequency: str = "0 */10 * * * *", *, timeout_seconds: int = 60, **schedule: Any) -> CheckedSchedule:
    asked = Schedule(repeat_mode=RepeatMode.PERIOD, frequency=frequency, **schedule)
    return check_schedule(asked, BeatSettings(), timeout_seconds=timeout_seconds, now_ms=NOW_MS)


def test_a_frequency_makes_it_periodic_whatever_else_is_said() -> None:
    assert repeat_mode("", "0 * * * * *") == RepeatMode.PERIOD
    assert repeat_mode("Once", "0 * * * * *") == RepeatMode.PERIOD
    assert repeat_mode("", "") == RepeatMode.ONCE
    assert repeat_mode("EveryReboot", "") == RepeatMode.EVERY_REBOOT
    assert is_timed(Schedule(frequency="0 * * * * *"))
    assert not is_timed(Schedule(repeat_mode=RepeatMode.DRY_RUN))


def test_an_unknown_mode_and_a_missing_frequency_have_the_apis_codes() -> None:
    with pytest.raises(NotFound) as unknown:
        repeat_mode("Often", "")
    assert unknown.value.code == "InvalidRepeatMode.NotFound"
    with pytest.raises(RequestInvalid) as missing:
        repeat_mode("Period", " ")
    assert missing.value.code == "MissingParam.Frequency"


def test_a_bad_field_is_refused_with_the_reason_and_the_place() -> None:
    with pytest.raises(RequestInvalid, match=r"character 3") as refused:
        check("0 61 * * * *")
    assert refused.value.code == "InvalidParam.Frequency"


@pytest.mark.parametrize(
    ("frequency", "told"),
    [
        ("at(2020-01-01 00:00:00)", "past"),
        ("0 0 0 30 2 ?", "no run"),
        ("0 0 * * * * Europe/Nowhere", "zone"),
        ("*/5 * * * * *", "apart"),
    ],
)
def test_what_can_never_or_must_not_run_is_refused(frequency: str, told: str) -> None:
    with pytest.raises(RequestInvalid, match=told) as refused:
        check(frequency, timeout_seconds=10)
    assert refused.value.code == "InvalidParam.Frequency"


def test_runs_closer_than_the_timeout_are_refused() -> None:
    check("0 */10 * * * *", timeout_seconds=600)
    with pytest.raises(RequestInvalid, match="601"):
        check("0 */10 * * * *", timeout_seconds=601)
    with pytest.raises(RequestInvalid):
        check("rate(60 s)", timeout_seconds=60)


def test_the_shortest_timeout_does_not_forbid_intervals_that_the_installation_allows() -> None:
    asked = Schedule(frequency="*/2 * * * * *")
    often = BeatSettings(minimum_interval_seconds=1)
    check_schedule(asked, often, timeout_seconds=10, now_ms=NOW_MS)
    with pytest.raises(RequestInvalid):
        check_schedule(asked, often, timeout_seconds=11, now_ms=NOW_MS)


def test_the_zone_is_settled_when_it_is_stored() -> None:
    assert check().schedule.timezone == "UTC"
    assert check(timezone="utc").schedule.timezone == "UTC"
    assert check(timezone="Europe/Berlin").schedule.timezone == "Europe/Berlin"
    assert check("0 0 3 * * * Asia/Shanghai").schedule.timezone == "Asia/Shanghai"
    assert check("0 0 3 * * * Asia/Shanghai", timezone="Asia/Shanghai").schedule.timezone == "Asia/Shanghai"


def test_a_zone_that_would_not_be_used_is_refused() -> None:
    for frequency in ("0 0 3 * * * Asia/Shanghai", "at(2090-01-01 00:00:00)"):
        with pytest.raises(RequestInvalid, match="Europe/Berlin") as refused:
            check(frequency, timezone="Europe/Berlin")
        assert refused.value.code == "InvalidParameter.Timezone"


@pytest.mark.parametrize(
    ("policies", "code"),
    [
        ({"overlap": "maybe"}, "InvalidParameter.OverlapPolicy"),
        ({"misfire": "never"}, "InvalidParameter.MisfirePolicy"),
        ({"day_rule": "neither"}, "InvalidParameter.DayRule"),
        ({"dst_gap": "x"}, "InvalidParameter.DstGap"),
        ({"dst_overlap": "thrice"}, "InvalidParameter.DstOverlap"),
        ({"max_count": -1}, "InvalidParameter.MaxCount"),
        ({"jitter_seconds": -1.0}, "InvalidParameter.Jitter"),
        ({"end_ms": NOW_MS + 1000}, "InvalidParameter.EndTime"),
    ],
)
def test_unknown_policies_are_refused(policies: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check(**policies)
    assert refused.value.code == code


def test_a_jitter_must_fit_between_two_runs() -> None:
    check(jitter_seconds=600.0)
    with pytest.raises(RequestInvalid):
        check(jitter_seconds=601.0)
    check("at(2090-01-01 00:00:00)", jitter_seconds=86_400.0)
    with pytest.raises(RequestInvalid, match="between 0 and 86400") as refused:
        check("at(2090-01-01 00:00:00)", jitter_seconds=86_401.0)
    assert refused.value.code == "InvalidParameter.Jitter"


def test_a_rate_that_has_begun_is_judged_by_its_own_grid() -> None:
    asked = Schedule(repeat_mode=RepeatMode.PERIOD, frequency="rate(1 d)", end_ms=NOW_MS + 2 * 3_600_000)
    begun_ms = NOW_MS - 23 * 3_600_000
    check_schedule(asked, BeatSettings(), timeout_seconds=60, now_ms=NOW_MS, anchor_ms=begun_ms)
    with pytest.raises(RequestInvalid, match="before the first due time"):
        check_schedule(asked, BeatSettings(), timeout_seconds=60, now_ms=NOW_MS)


@pytest.mark.parametrize(("is_given", "seconds"), [(True, 45), (False, 0)])
def test_a_time_for_delivery_that_nobody_gave_is_until_the_next_due_time(is_given: bool, seconds: int) -> None:
    asked = some_invocation(Schedule(frequency="0 0 * * * *"), deliver_within_seconds=45)
    checked = check_timed(asked, BeatSettings(), is_within_given=is_given, now_ms=NOW_MS)
    assert (checked.deliver_within_seconds, checked.schedule.timezone) == (seconds, "UTC")


def test_a_stored_preview_ends_with_the_most_runs_that_are_left() -> None:
    due = [DueTime(1), DueTime(2, "dst_gap"), DueTime(3), DueTime(4)]
    limited = some_timed(Schedule(max_count=5), fired_count=3)
    # What the gap takes is none of the runs.
    assert list(left_to_run(limited, iter(due))) == due[:3]
    assert list(left_to_run(replace(limited, fired_count=5), iter(due))) == []
    assert list(left_to_run(replace(limited, schedule=Schedule()), iter(due))) == due
    assert list(left_to_run(replace(limited, status=TimedStatus.ENDED), iter(due))) == []


def test_a_preview_shows_both_clocks() -> None:
    found = preview(Schedule(frequency="0 10 1 * * 6,0"), default_zone="Asia/Shanghai", after_ms=NOW_MS, count=2)
    assert preview_shape(found) == {
        "TimeZone": "Asia/Shanghai",
        "DueTimes": [
            {"Utc": "2026-11-27T17:10:00Z", "Local": "2026-11-28T01:10:00+08:00"},
            {"Utc": "2026-11-28T17:10:00Z", "Local": "2026-11-29T01:10:00+08:00"},
        ],
    }


def test_a_preview_names_what_is_going_to_be_left_out() -> None:
    found = preview(
        Schedule(frequency="0 30 2 * * *", timezone="Europe/Berlin", dst_gap="skip"),
        default_zone="UTC",
        after_ms=1_774_656_000_000,  # 2026-03-28 00:00 UTC
        count=3,
    )
    assert [one.get("Skipped", "") for one in preview_shape(found)["DueTimes"]] == ["", "dst_gap", ""]


def test_a_preview_ends_with_the_schedule() -> None:
    found = preview(
        Schedule(frequency="0 0 * * * *", end_ms=NOW_MS + 2 * 3_600_000), default_zone="UTC", after_ms=NOW_MS, count=9
    )
    assert len(found.due_times) == 2
    with pytest.raises(RequestInvalid):
        preview(Schedule(frequency="nonsense"), default_zone="UTC", after_ms=NOW_MS, count=1)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(frequency="0 0 9 * * * Asia/Shanghai"),
        Schedule(frequency="0 0 9 * * *", timezone="Asia/Shanghai"),
        Schedule(frequency="rate(5 m)", timezone="Asia/Shanghai"),
        Schedule(timezone="Asia/Shanghai"),
    ],
)
def test_a_moment_without_an_offset_is_in_the_zone_of_the_schedule(schedule: Schedule) -> None:
    assert moment_ms("2026-11-23T00:00:00Z", schedule, "Europe/Berlin") == NOW_MS
    assert moment_ms("2026-11-23 08:00:00", schedule, "Europe/Berlin") == NOW_MS


def test_a_moment_without_an_offset_is_in_the_default_zone_where_the_schedule_names_none() -> None:
    assert moment_ms("2026-11-23 08:00:00", Schedule(frequency="0 0 9 * * *"), "Asia/Shanghai") == NOW_MS
    assert moment_ms("2026-11-23", Schedule(frequency="at(2030-01-01 00:00:00)"), "Asia/Shanghai") == NOW_MS
    with pytest.raises(RequestInvalid, match="is not a moment"):
        moment_ms("tomorrow", Schedule(), "UTC")
    with pytest.raises(RequestInvalid, match="unknown zone"):
        moment_ms("2026-11-23", Schedule(frequency="0 0 9 * * * Mars/Base"), "UTC")
    with pytest.raises(RequestInvalid, match="Mars/Base"):
        moment_ms("2026-11-23", Schedule(timezone="Mars/Base"), "UTC")
