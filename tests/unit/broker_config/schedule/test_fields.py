"""What a plain field selects."""

import pytest

from cloud_assistant.broker_config.schedule import fields
from cloud_assistant.broker_config.schedule.fields import FieldSpec, field_values
from cloud_assistant.broker_config.schedule.text_span import Span


@pytest.mark.parametrize(
    ("spec", "text", "values"),
    [
        (fields.MINUTE, "5", [5]),
        (fields.MINUTE, "05", [5]),
        (fields.MINUTE, "00", [0]),
        (fields.MINUTE, "5-5", [5]),
        (fields.MINUTE, "5,3,5", [3, 5]),
        (fields.MINUTE, "*/20", [0, 20, 40]),
        (fields.MINUTE, "*/59", [0, 59]),
        (fields.MINUTE, "7/20", [7, 27, 47]),
        (fields.MINUTE, "59/15", [59]),
        (fields.MINUTE, "10-30/7", [10, 17, 24]),
        (fields.MINUTE, "50/5,1-3", [1, 2, 3, 50, 55]),
        (fields.HOUR, "18-23", [18, 19, 20, 21, 22, 23]),
        (fields.HOUR, "*", list(range(24))),
        (fields.HOUR, "?", list(range(24))),
        (fields.HOUR, "3,*", list(range(24))),
        (fields.MONTH, "JAN", [1]),
        (fields.MONTH, "january-apr/2,DECEMBER", [1, 3, 12]),
        (fields.MONTH, "Oct/1", [10, 11, 12]),
        (fields.MONTH, "*/12", [1]),
        (fields.YEAR, "2022/30", [2022, 2052, 2082]),
        (fields.YEAR, "2098-2099", [2098, 2099]),
        (fields.DAY_OF_WEEK, "5-7", [5, 6, 7]),
        (fields.DAY_OF_WEEK, "fri-SUNDAY", [5, 6, 7]),
        (fields.DAY_OF_WEEK, "SUN-tue", [0, 1, 2]),
        (fields.DAY_OF_WEEK, "SUN-SUN", [0]),
        (fields.DAY_OF_WEEK, "1/2", [1, 3, 5, 7]),
        (fields.DAY_OF_WEEK, "*/2", [0, 2, 4, 6]),
    ],
)
def test_a_field_selects(spec: FieldSpec, text: str, values: list[int]) -> None:
    assert list(field_values(Span.whole(text), spec).values) == values


@pytest.mark.parametrize("text", ["*", "?", "*/2", "1/2", "0-23", "1-23/2", "5,*/12"])
def test_an_hour_field_that_goes_on_to_the_end_of_the_day_is_open(text: str) -> None:
    assert field_values(Span.whole(text), fields.HOUR).is_open


@pytest.mark.parametrize("text", ["1", "0,12", "9-17", "9-17/2", "18-23", "1/23", "23/2"])
def test_an_hour_field_that_names_its_hours_is_not_open(text: str) -> None:
    assert not field_values(Span.whole(text), fields.HOUR).is_open
