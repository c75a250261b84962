"""What happens to a cron schedule where the clock jumps, and where the calendar ends."""

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud_assistant.broker_config.schedule import Schedule, ScheduleOptions
from cloud_assistant.broker_config.schedule.frequency import parse_frequency

NEW_YORK = "America/New_York"  # 2026: 02:00 -> 03:00 on 8 March, 02:00 -> 01:00 on 1 November
LORD_HOWE = "Australia/Lord_Howe"  # 2026: 02:00 -> 01:30 on 5 April, 02:00 -> 02:30 on 4 October


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def schedule(text: str, zone: str, **options: Any) -> Schedule:
    return parse_frequency(text, default_zone=zone, anchor_ms=0, options=ScheduleOptions(**options))


def due(text: str, zone: str, start: str, end: str, **options: Any) -> list[str]:
    """List the due times from ``start`` on, before ``end``; a skipped one has a question mark."""
    found, after, timed = [], ms(start) - 1, schedule(text, zone, **options)
    while (next_due := timed.next_after(after)) is not None and next_due.utc_ms < ms(end):
        found.append(timed.local_text(next_due)[5:] + ("?" if next_due.skipped == "dst_gap" else ""))
        after = next_due.utc_ms
    return found


# --- fixed times ------------------------------------------------------------------------------------------------

SPRING = ("2026-03-07T12:00-05:00", "2026-03-09T12:00-04:00")
AUTUMN = ("2026-10-31T12:00-04:00", "2026-11-02T12:00-05:00")


def test_a_fixed_time_in_the_gap_runs_at_the_first_instant_after_it() -> None:
    assert due("0 30 2 * * *", NEW_YORK, *SPRING) == ["03-08T03:00:00-04:00", "03-09T02:30:00-04:00"]


def test_a_fixed_time_in_the_gap_leaves_a_skipped_due_time_when_gaps_are_skipped() -> None:
    assert due("0 30 2 * * *", NEW_YORK, *SPRING, gap="skip") == ["03-08T03:00:00-04:00?", "03-09T02:30:00-04:00"]


def test_many_fixed_times_in_one_gap_run_once() -> None:
    night = "2026-03-08T00:00-05:00", "2026-03-08T04:00-04:00"
    assert due("0 */10 2 * * *", NEW_YORK, *night) == ["03-08T03:00:00-04:00"]
    assert due("* * 2 * * *", NEW_YORK, *night, gap="skip") == ["03-08T03:00:00-04:00?"]


def test_a_due_time_right_after_the_gap_stands_for_the_skipped_ones_too() -> None:
    night = "2026-03-08T00:00-05:00", "2026-03-08T05:00-04:00"
    for gap in ("run_after", "skip"):
        assert due("0 0,30 2-3 * * *", NEW_YORK, *night, gap=gap) == ["03-08T03:00:00-04:00", "03-08T03:30:00-04:00"]


def test_in_a_gap_of_half_an_hour_each_minute_counts_for_itself() -> None:
    night = "2026-10-04T01:36+10:30", "2026-10-04T02:40+11:00"
    # 02:05 comes as 02:35; in the place of 02:10 comes 02:40, which is no due time.
    assert due("0 5,35 * * * *", LORD_HOWE, *night) == ["10-04T02:35:00+11:00"]
    assert due("0 5,10,35 * * * *", LORD_HOWE, *night) == ["10-04T02:30:00+11:00", "10-04T02:35:00+11:00"]


def test_the_last_day_of_the_calendar_is_that_of_the_zone() -> None:
    last = "0 30 23 31 12 ? 2099"
    for zone, offset in (("Pacific/Pago_Pago", "-11:00"), ("Pacific/Kiritimati", "+14:00")):
        day = f"2099-12-31T23:00{offset}", f"2100-01-02T00:00{offset}"
        assert due(last, zone, *day) == [f"12-31T23:30:00{offset}"]


def test_two_named_hours_of_which_one_is_in_the_gap_both_run() -> None:
    night = "2026-03-08T00:00-05:00", "2026-03-08T05:00-04:00"
    assert due("0 30 2,3 * * *", NEW_YORK, *night) == ["03-08T03:00:00-04:00", "03-08T03:30:00-04:00"]


def test_a_fixed_time_in_the_overlap_runs_once_the_first_time() -> None:
    assert due("0 30 1 * * *", NEW_YORK, *AUTUMN) == ["11-01T01:30:00-04:00", "11-02T01:30:00-05:00"]


def test_a_fixed_time_in_the_overlap_runs_twice_when_asked_to() -> None:
    assert due("0 30 1 * * *", NEW_YORK, *AUTUMN, overlap="twice") == [
        "11-01T01:30:00-04:00",
        "11-01T01:30:00-05:00",
        "11-02T01:30:00-05:00",
    ]


def test_a_query_from_the_second_pass_finds_nothing_that_was_due_in_the_first() -> None:
    assert due("0 */20 1 * * *", NEW_YORK, "2026-11-01T01:10-05:00", "2026-11-02T01:10-05:00") == [
        "11-02T01:00:00-05:00"
    ]


def test_a_query_from_the_second_pass_finds_what_is_due_the_moment_it_ends() -> None:
    assert due("0 0 2 * * *", NEW_YORK, "2026-11-01T01:10-05:00", "2026-11-02T01:10-05:00") == ["11-01T02:00:00-05:00"]


def test_the_last_run_of_all_comes_twice_where_its_time_does() -> None:
    assert due("0 30 1 1 11 ? 2026", NEW_YORK, *AUTUMN, overlap="twice") == [
        "11-01T01:30:00-04:00",
        "11-01T01:30:00-05:00",
    ]


def test_the_next_due_time_after_an_overlap_may_lie_in_the_next_gap() -> None:
    year = "2026-11-01T01:30-04:00", "2027-04-01T00:00-04:00"
    assert due("0 30 2 14 3 ?", NEW_YORK, *year, overlap="twice") == ["03-14T03:00:00-04:00"]


def test_midnight_that_does_not_exist_is_made_up_for_at_one() -> None:
    night = "2018-11-03T12:00-03:00", "2018-11-05T12:00-02:00"
    assert due("0 0 0 * * *", "America/Sao_Paulo", *night) == ["11-04T01:00:00-02:00", "11-05T00:00:00-02:00"]


def test_a_date_that_does_not_exist_is_made_up_for_at_its_end() -> None:
    days = "2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00"
    assert due("0 0 12 * * *", "Pacific/Apia", *days) == [
        "12-29T12:00:00-10:00",
        "12-31T00:00:00+14:00",
        "12-31T12:00:00+14:00",
    ]
    assert due("0 0 12 30 12 ?", "Pacific/Apia", *days, gap="skip") == ["12-31T00:00:00+14:00?"]


def test_a_zone_that_changes_its_offset_for_good_is_treated_the_same() -> None:
    # Pyongyang went from +8:30 to +9:00 at 23:30 on 4 May 2018.
    assert due("0 45 23 * * *", "Asia/Pyongyang", "2018-05-04T12:00+08:30", "2018-05-06T00:00+09:00") == [
        "05-05T00:00:00+09:00",
        "05-05T23:45:00+09:00",
    ]


# --- intervals --------------------------------------------------------------------------------------------------


def test_an_interval_of_minutes_goes_on_through_both_clock_changes_by_elapsed_time() -> None:
    for start, end in [
        ("2026-03-08T00:00-05:00", "2026-03-08T06:00-04:00"),
        ("2026-11-01T00:00-04:00", "2026-11-01T06:00-05:00"),
    ]:
        for options in ({}, {"gap": "skip", "overlap": "once"}, {"overlap": "twice"}):
            ten_minutes = schedule("0 5/10 * * * *", NEW_YORK, **options)
            found = [due.utc_ms for due in ten_minutes.due_times(ms(start), 50)]
            assert found == [ms(start) + 300_000 + 600_000 * step for step in range(50)]
            assert all(not due.skipped for due in ten_minutes.due_times(ms(start), 50))
            assert ms(end) < found[-1]


def test_hourly_runs_in_both_passes_of_the_overlap() -> None:
    assert due("0 0 * * * *", NEW_YORK, "2026-11-01T00:30-04:00", "2026-11-01T02:30-05:00") == [
        "11-01T01:00:00-04:00",
        "11-01T01:00:00-05:00",
        "11-01T02:00:00-05:00",
    ]


def test_an_hour_of_an_interval_that_the_gap_takes_away_is_made_up_for() -> None:
    night = "2026-03-07T23:30-05:00", "2026-03-08T07:00-04:00"
    after = ["03-08T04:00:00-04:00", "03-08T06:00:00-04:00"]
    assert due("0 0 */2 * * *", NEW_YORK, *night) == ["03-08T00:00:00-05:00", "03-08T03:00:00-04:00", *after]
    assert due("0 0 */2 * * *", NEW_YORK, *night, gap="skip") == [
        "03-08T00:00:00-05:00",
        "03-08T03:00:00-04:00?",
        *after,
    ]
    assert due("0 0 1/2 * * *", NEW_YORK, *night) == [
        "03-08T01:00:00-05:00",
        "03-08T03:00:00-04:00",
        "03-08T05:00:00-04:00",
    ]


def test_half_an_hour_of_daylight_saving_loses_and_doubles_nothing() -> None:
    spring = "2026-10-04T01:00+10:30", "2026-10-04T04:00+11:00"
    # 02:10 does not come, and half an hour later nothing is due: it is made up for at 02:30.
    assert due("0 10 * * * *", LORD_HOWE, *spring) == [
        "10-04T01:10:00+10:30",
        "10-04T02:30:00+11:00",
        "10-04T03:10:00+11:00",
    ]
    # 02:10 does not come, but 02:40 does at that very moment.
    assert due("0 10,40 * * * *", LORD_HOWE, *spring) == [
        "10-04T01:10:00+10:30",
        "10-04T01:40:00+10:30",
        "10-04T02:40:00+11:00",
        "10-04T03:10:00+11:00",
        "10-04T03:40:00+11:00",
    ]
    autumn = "2026-04-05T01:00+11:00", "2026-04-05T02:30+10:30"
    assert due("0 45 1 * * *", LORD_HOWE, *autumn) == ["04-05T01:45:00+11:00"]
    assert due("0 15,45 * * * *", LORD_HOWE, *autumn) == [
        "04-05T01:15:00+11:00",
        "04-05T01:45:00+11:00",
        "04-05T01:45:00+10:30",
        "04-05T02:15:00+10:30",
    ]


def test_a_gap_of_an_hour_that_begins_within_one_takes_nothing_behind_it() -> None:
    # Chatham's clock goes from 02:45 to 03:45, and what comes in place of 03:00 is not due before 04:00.
    assert due("0 */17 * * * *", "Pacific/Chatham", "2026-09-27T02:30+12:45", "2026-09-27T04:20+13:45") == [
        "09-27T02:34:00+12:45",
        "09-27T03:51:00+13:45",
        "09-27T04:00:00+13:45",
        "09-27T04:17:00+13:45",
    ]


def test_an_interval_misses_nothing_where_a_whole_day_is_left_out() -> None:
    days = "2011-12-29T23:30-10:00", "2011-12-31T01:00+14:00"
    assert due("10 */20 * * * *", "Pacific/Apia", *days) == [
        "12-29T23:40:10-10:00",
        "12-31T00:00:10+14:00",
        "12-31T00:20:10+14:00",
        "12-31T00:40:10+14:00",
    ]


# --- the rest ---------------------------------------------------------------------------------------------------


def test_a_due_time_is_strictly_after_the_instant_asked_about() -> None:
    every_second = schedule("* * * * * *", "UTC")
    assert [every_second.next_after(after).utc_ms for after in (4999, 5000, 5001, 5999, 6000)] == [  # type: ignore[union-attr]
        5000,
        6000,
        6000,
        6000,
        7000,
    ]


def test_the_calendar_begins_in_1970_and_ends_with_2099_on_the_wall_clock() -> None:
    noon = schedule("0 0 12 * * *", "Asia/Tokyo")
    first, last = noon.next_after(-(10**15)), noon.next_after(ms("2099-12-30T12:00+09:00"))
    assert first is not None
    assert noon.local_text(first) == "1970-01-01T12:00:00+09:00"
    assert last is not None
    assert noon.local_text(last) == "2099-12-31T12:00:00+09:00"
    for after in (last.utc_ms, 10**16):
        assert noon.next_after(after) is None
    assert schedule("0 0 12 ? * 5L", "Asia/Tokyo").next_after(last.utc_ms) is None


@pytest.mark.parametrize("text", ["0 0 0 30 2 ?", "0 0 0 31W 2 ?", "0 0 0 29 2 ? 2027", "0 0 0 ? 2 1#5 2027"])
def test_dates_that_do_not_exist_are_never_due(text: str) -> None:
    assert schedule(text, NEW_YORK).next_after(0) is None


def test_a_rare_date_is_found_decades_ahead() -> None:
    # 29 February on a Monday: 1988, 2016, 2044.
    rare = schedule("0 0 0 29 2 1", "UTC", day_rule="both")
    assert [rare.local_text(due)[:10] for due in rare.due_times(ms("2017-01-01T00:00+00:00"), 3)] == [
        "2044-02-29",
        "2072-02-29",
    ]


def test_a_schedule_can_be_pickled_also_after_use() -> None:
    timed = schedule("0 30 2 * * *", NEW_YORK)
    first = timed.next_after(0)
    again = pickle.loads(pickle.dumps(timed))
    assert again == timed
    assert again.next_after(0) == first
