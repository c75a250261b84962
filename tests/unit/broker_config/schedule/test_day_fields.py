"""Which days of a month the day fields select."""

from calendar import monthrange

import pytest

from cloud_assistant.broker_config.schedule.day_fields import days_selected, parse_day_of_month, parse_day_of_week
from cloud_assistant.broker_config.schedule.options import DayRule
from cloud_assistant.broker_config.schedule.text_span import Span


def days(of_month: str, of_week: str, year: int, month: int, day_rule: DayRule = "either") -> list[int]:
    monday_first, length = monthrange(year, month)
    month_field, week_field = parse_day_of_month(Span.whole(of_month)), parse_day_of_week(Span.whole(of_week))
    return list(days_selected(month_field, week_field, day_rule, (monday_first + 1) % 7, length))


@pytest.mark.parametrize(
    ("of_month", "year", "month", "expected"),
    [
        ("*", 2027, 2, list(range(1, 29))),
        ("29,30,31", 2027, 2, []),
        ("29,30,31", 2028, 2, [29]),
        ("L", 2027, 2, [28]),
        ("L", 2028, 2, [29]),
        ("LW", 2026, 2, [27]),  # the 28th is a Saturday
        ("LW", 2027, 1, [29]),  # the 31st is a Sunday
        ("LW", 2026, 11, [30]),
        ("15W", 2026, 11, [16]),  # the 15th is a Sunday
        ("15W", 2026, 8, [14]),  # the 15th is a Saturday
        ("1W", 2026, 8, [3]),  # the 1st is a Saturday: forward, not into July
        ("31W", 2027, 1, [29]),  # the 31st is a Sunday: back, not into February
        ("31W", 2026, 11, []),  # November has no 31st
        ("1W,15W,20", 2026, 8, [3, 14, 20]),
    ],
)
def test_days_of_the_month(of_month: str, year: int, month: int, expected: list[int]) -> None:
    assert days(of_month, "?", year, month) == expected
    assert days(of_month, "*", year, month, "both") == expected


@pytest.mark.parametrize(
    ("of_week", "expected"),
    # November 2026 begins on a Sunday and has five Sundays and Mondays.
    [
        ("0", [1, 8, 15, 22, 29]),
        ("7", [1, 8, 15, 22, 29]),
        ("L", [1, 8, 15, 22, 29]),
        ("SUN", [1, 8, 15, 22, 29]),
        ("6-7", [1, 7, 8, 14, 15, 21, 22, 28, 29]),
        ("0L", [29]),
        ("7l", [29]),
        ("monL", [30]),
        ("6L", [28]),
        ("6#3", [21]),
        ("SUN#1,1#5", [1, 30]),
        ("2#5", []),
        ("7#2,3", [4, 8, 11, 18, 25]),
    ],
)
def test_days_of_the_week(of_week: str, expected: list[int]) -> None:
    assert days("?", of_week, 2026, 11) == expected


def test_two_restricted_day_fields_follow_the_day_rule() -> None:
    assert days("13", "FRI", 2026, 11, "either") == [6, 13, 20, 27]
    assert days("13", "FRI", 2026, 11, "both") == [13]
    assert days("1", "6#3", 2026, 11, "either") == [1, 21]
    assert days("LW", "0L", 2026, 11, "either") == [29, 30]


def test_a_step_restricts_a_day_field_even_if_it_selects_every_day() -> None:
    assert days("*/1", "MON", 2026, 11, "either") == list(range(1, 31))
    assert days("*/1", "MON", 2026, 11, "both") == [2, 9, 16, 23, 30]
    assert days("*", "MON", 2026, 11, "either") == [2, 9, 16, 23, 30]
