"""Reading a frequency: the seed's lines, the contract's examples, refusals with reason and position."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from cloud_assistant.broker_config.schedule import InvalidFrequency, Schedule
from cloud_assistant.broker_config.schedule.frequency import MAXIMUM_LENGTH_CHARACTERS, parse_frequency

NOW_MS = round(datetime(2026, 11, 23, 10, 1, 1, tzinfo=UTC).timestamp() * 1000)


def parse(text: str, default_zone: str = "UTC") -> Schedule:
    return parse_frequency(text, default_zone=default_zone, anchor_ms=NOW_MS)


def preview(text: str, count: int, default_zone: str = "UTC") -> list[str]:
    schedule = parse(text, default_zone)
    return [schedule.local_text(due) for due in schedule.due_times(NOW_MS, count)]


def test_every_ten_minutes() -> None:
    assert preview("0 */10 * * * *", 3) == [
        "2026-11-23T10:10:00+00:00",
        "2026-11-23T10:20:00+00:00",
        "2026-11-23T10:30:00+00:00",
    ]


def test_every_evening_at_half_past_nine() -> None:
    assert preview("0 30 21 * * *", 2) == ["2026-11-23T21:30:00+00:00", "2026-11-24T21:30:00+00:00"]


def test_saturdays_and_sundays_at_ten_past_one() -> None:
    # 28 November 2026 is a Saturday.
    assert preview("0 10 1 * * 6,0", 3) == [
        "2026-11-28T01:10:00+00:00",
        "2026-11-29T01:10:00+00:00",
        "2026-12-05T01:10:00+00:00",
    ]


def test_every_half_hour_from_six_to_half_past_eleven_in_the_evening() -> None:
    due = preview("0 0,30 18-23 * * *", 13)
    clock = [f"{hour}:{minute}" for hour in range(18, 24) for minute in ("00", "30")]
    assert due == [f"2026-11-23T{time}:00+00:00" for time in clock] + ["2026-11-24T18:00:00+00:00"]


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("0 15 10 ? * * 2027 Asia/Shanghai", "2027-01-01T10:15:00+08:00"),
        ("0 0/30 10-11 * * ? 2027 GMT+8:00", "2027-01-01T10:00:00+08:00"),
        ("0 0/5 14 * 10 ? 2022/2 UTC", "2028-10-01T14:00:00+00:00"),
        ("0 15 10 L * ?", "2026-11-30T10:15:00+00:00"),
        ("0 15 10 ? * 6L", "2026-11-28T10:15:00+00:00"),
        ("0 15 10 ? * 6#3", "2026-12-19T10:15:00+00:00"),
        ("0 0 9 ? * L", "2026-11-29T09:00:00+00:00"),
        ("0 0 9 LW 1 ?", "2027-01-29T09:00:00+00:00"),
        ("0 0 9 31W * ?", "2026-12-31T09:00:00+00:00"),
        ("0 0 0 29 2 ? Europe/London", "2028-02-29T00:00:00+00:00"),
        ("0 0 0 ? january-MAR fri-SUN", "2027-01-01T00:00:00+00:00"),
        (" 5\t0 0 * * *  ", "2026-11-24T00:00:05+00:00"),
        ("0 0 12 * * * GMT-3:30", "2026-11-23T12:00:00-03:30"),
        ("0 0 12 * * * gmt", "2026-11-23T12:00:00+00:00"),
        ("RATE (5 M)", "2026-11-23T10:06:01+00:00"),
        ("At(2027-06-01 08:30:00 Asia/Shanghai)", "2027-06-01T08:30:00+08:00"),
    ],
)
def test_an_expression_is_next_due(text: str, due: str) -> None:
    assert preview(text, 1) == [due]


def test_without_a_zone_a_cron_expression_is_read_in_the_default_zone() -> None:
    assert preview("0 0 12 * * *", 1, "Asia/Kathmandu") == ["2026-11-24T12:00:00+05:45"]
    assert preview("0 0 12 * * * UTC", 1, "Asia/Kathmandu") == ["2026-11-23T12:00:00+00:00"]


def test_a_rate_is_shown_in_the_default_zone_and_at_without_a_zone_is_utc() -> None:
    assert parse("rate(1h)", "Asia/Shanghai").zone == "Asia/Shanghai"
    assert parse("at(2027-01-01 00:00:00)", "Asia/Shanghai").zone == "UTC"


@pytest.mark.parametrize(
    ("last", "zone"),
    [
        ("2027", "UTC"),
        ("*", "UTC"),
        ("?", "UTC"),
        ("*/2", "UTC"),
        ("2027,2029-2031", "UTC"),
        ("UTC", "UTC"),
        ("Asia/Shanghai", "Asia/Shanghai"),
        ("GMT+8:00", "GMT+8:00"),
        ("2027 GMT+14:00", "GMT+14:00"),
        ("* Japan", "Japan"),
    ],
)
def test_the_end_of_an_expression_is_a_year_a_zone_or_both(last: str, zone: str) -> None:
    assert parse(f"0 0 0 * * * {last}").zone == zone


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("00 05/10 08 ? jan,March ?", "0 5/10 8 * 1,3 * UTC"),
        ("0 0 0 1,? * *", "0 0 0 * * * UTC"),
        ("0 0 0 lw * ? *", "0 0 0 LW * * UTC"),
        ("0 0 0 05w * ?", "0 0 0 5W * * UTC"),
        ("0 0 0 ? * FriL 2027", "0 0 0 * * 5L 2027 UTC"),
        ("0 0 0 ? * sun#1,Saturday#2", "0 0 0 * * 0#1,6#2 UTC"),
        ("0 0 0 ? * FRI-SUN utc", "0 0 0 * * 5-7 UTC"),
        ("rate( 07 D )", "rate(7d)"),
        ("AT( 2027-01-01\t00:00:00  GMT-0:30 )", "at(2027-01-01 00:00:00 GMT-0:30)"),
    ],
)
def test_the_canonical_text_is_plain(text: str, canonical: str) -> None:
    assert parse(text).canonical == canonical
    assert parse(canonical).canonical == canonical


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("", "empty", 0),
        ("   ", "empty", 3),
        ("0 0 0 * *", "has 6 to 8 fields and this has 5", 0),
        ("0 0 0 * * * * UTC extra", "this has 9", 0),
        ("@daily", "nicknames", 0),
        ("R 0 0 * * *", "random and hashed", 0),
        ("0 H/5 * * * *", "random and hashed", 2),
        ("60 * * * * *", "second field: 60 is out of range; allowed are 0-59", 0),
        ("0 60 * * * *", "minute field: 60 is out of range", 2),
        ("0 0 24 * * *", "hour field: 24 is out of range", 4),
        ("0 0 0 0 * *", "day-of-month field: 0 is out of range", 6),
        ("0 0 0 32 * *", "day-of-month field: 32 is out of range", 6),
        ("0 0 0 * 13 *", "month field: 13 is out of range", 8),
        ("0 0 0 * Janu *", "'Janu' is not a value", 8),
        ("0 0 0 * * 8", "day-of-week field: 8 is out of range", 10),
        ("0 0 0 * * * 1969", "year field: 1969 is out of range", 12),
        ("0 0 0 * * * 2100", "year field: 2100 is out of range", 12),
        ("0 008 * * * *", "'008' has too many leading zeros, write 8", 2),
        ("0 012 * * * *", "'012' has too many leading zeros, write 12", 2),
        ("0 1,,2 * * * *", "an entry of the list is empty", 4),
        ("0 1, * * * *", "an entry of the list is empty", 4),
        ("0 5-1 * * * *", "range '5-1' runs backwards, write 5-59,0-1", 2),
        ("0 0 22-4 * * *", "range '22-4' runs backwards, write 22-23,0-4", 4),
        ("0 0 0 * NOV-FEB *", "range 'NOV-FEB' runs backwards, write 11-12,1-2", 8),
        ("0 0 0 * * FRI-MON", "range 'FRI-MON' runs backwards", 10),
        ("0 0 0 * * 5-0", "range '5-0' runs backwards", 10),
        ("0 1-2-3 * * * *", "a range has two ends", 6),
        ("0 -5 * * * *", "a value is missing", 2),
        ("0 5- * * * *", "a value is missing", 4),
        ("0 */0 * * * *", "step 0 is out of range, steps are 1-59", 4),
        ("0 */60 * * * *", "step 60 is out of range, steps are 1-59", 4),
        ("0 0 0/24 * * *", "step 24 is out of range, steps are 1-23", 6),
        ("0 0 0 * * */8", "step 8 is out of range", 12),
        ("0 */ * * * *", "a step is missing", 4),
        ("0 */x * * * *", "'x' is not a step", 4),
        ("0 1/2/3 * * * *", "two steps", 6),
        ("0 ?/2 * * * *", "'?' takes no step", 2),
        ("0 L * * * *", "minute field: 'L' is not a value", 2),
        ("0 0 0 L,15 * *", "L and LW stand alone", 6),
        ("0 0 0 1,LW * *", "L and LW stand alone", 8),
        ("0 0 0 L-3 * *", "L and LW stand alone", 6),
        ("0 0 0 1-L * *", "L and LW stand alone", 6),
        ("0 0 0 W15 * *", "'W15' is not a value", 6),
        ("0 0 0 32W * *", "32 is out of range", 6),
        ("0 0 0 1-5W * *", "'5W' is not a value", 8),
        ("0 0 0 * * 6L,5L", "L stands alone", 10),
        ("0 0 0 * * L5", "L stands alone", 10),
        ("0 0 0 * * 1-5L", "L stands alone", 10),
        ("0 0 0 * * 8L", "8 is out of range", 10),
        ("0 0 0 * * 6#6", "'6' is not the number of a week, those are 1-5", 12),
        ("0 0 0 * * 6#", "'' is not the number of a week", 12),
        ("0 0 0 * * 1-3#2", "'1-3' is not a value", 10),
        ("0 0 0\u00a0* * * *", "'0\\xa0*' is not a value", 4),
        ("٣ * * * * *", "'٣' is not a value", 0),
        ("0 0 0 * * * Mars/Olympus", "unknown zone 'Mars/Olympus'", 12),
        ("0 0 0 * * * asia/shanghai", "did you mean Asia/Shanghai", 12),
        ("0 0 0 * * * 2027 GMT+08:00", "write GMT+h:mm", 17),
        ("0 0 0 * * * 2027 2028", "unknown zone '2028'", 17),
        ("rate(59s)", "59 s is out of range", 5),
        ("rate(8d)", "691200 s is out of range", 5),
        ("rate(005m)", "too many leading zeros", 5),
        ("rate(5)", "not a rate", 0),
        ("rate(5 weeks)", "not a rate", 0),
        ("rate(5m) UTC", "not a rate", 0),
        ("at(2027-01-01)", "not a time to run at", 0),
        ("at 2027-01-01 00:00:00", "not a time to run at", 0),
        ("at(2027-1-01 00:00:00)", "'2027-1-01' is not a date", 3),
        ("at(2027-02-29 00:00:00)", "there is no date 2027-02-29", 3),
        ("at(2027-02-28 24:00:00)", "there is no time 24:00:00", 14),
        ("at(2027-02-28 00:00)", "'00:00' is not a time", 14),
        ("at(2127-02-28 00:00:00)", "year 2127 is out of range", 3),
        ("at(2027-02-28 00:00:00 Mars)", "unknown zone 'Mars'", 23),
    ],
)
def test_a_wrong_text_is_refused_with_reason_and_position(text: str, reason: str, position: int) -> None:
    with pytest.raises(InvalidFrequency) as refused:
        parse(text)
    assert reason in refused.value.reason
    assert refused.value.position == position
    assert refused.value.text == text
    assert f"at character {position + 1} of" in str(refused.value)


def test_an_unknown_default_zone_is_refused() -> None:
    with pytest.raises(InvalidFrequency, match="unknown zone 'Mars'"):
        parse("0 0 0 * * *", "Mars")


def test_a_text_too_long_to_be_sensible_is_refused() -> None:
    with pytest.raises(InvalidFrequency, match="at most 2048 characters and this has 5000"):
        parse("1," * 2500)
    every_second = ",".join(str(second) for second in range(60))
    longest = " ".join([every_second] * 2 + ["*"] * 4 + [",".join(str(year) for year in range(1970, 2100))])
    assert len(longest) < MAXIMUM_LENGTH_CHARACTERS
    assert parse(longest).next_after(NOW_MS) is not None


def test_the_package_alone_loads_neither_croniter_nor_anything_of_celery_or_redis() -> None:
    program = (
        "import sys, cloud_assistant.broker_config.schedule;"
        "import cloud_assistant.broker_config.schedule.errors;"
        "assert 'croniter' not in sys.modules;"
        "import cloud_assistant.broker_config.schedule.frequency, cloud_assistant.broker_config.schedule.checks;"
        "assert not {'celery', 'kombu', 'redis'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
