"""What an agent wrote about itself is read, whatever it is."""

import msgspec
import pytest

from cloud_assistant.broker_config.clock import iso_minutes, iso_seconds
from cloud_assistant.broker_config.reported_values import decimal_number, json_list, maybe_number, whole_number

FOREIGN = [b"many", "many", b"\xff", b"9" * 30, b"9" * 5000, b"1.5", b"-" + b"9" * 20]


@pytest.mark.parametrize("value", FOREIGN)
def test_what_is_no_number_of_ours_counts_as_not_said(value: bytes | str) -> None:
    assert (whole_number(value), maybe_number(value)) == (0, None)


@pytest.mark.parametrize("value", [b"inf", b"-inf", b"nan", b"1e400", b"x", b"\xff"])
def test_a_fraction_that_is_none_counts_as_not_said(value: bytes) -> None:
    assert decimal_number(value) == 0


def test_numbers_are_read_as_they_stand() -> None:
    assert [whole_number(one) for one in (None, b"", "0", b"12", "-3")] == [0, 0, 0, 12, -3]
    assert maybe_number(b"0") == 0
    assert decimal_number("-1.5") == -1.5


@pytest.mark.parametrize("value", [b"x", b"{}", b"1", b"\xff", b"[" * 100_000])
def test_what_is_no_list_is_an_empty_one(value: bytes) -> None:
    assert json_list(value) == []
    assert json_list(b'["a"]') == ["a"]


@pytest.mark.parametrize("at_ms", [-1, 10**15, 2**53])
def test_a_moment_that_no_calendar_has_is_not_shown(at_ms: int) -> None:
    assert iso_seconds(at_ms) == iso_minutes(at_ms) == ""
    msgspec.json.encode(at_ms)


def test_the_last_moment_of_the_calendar_is_shown() -> None:
    assert iso_seconds(253_402_300_799_999) == "9999-12-31T23:59:59Z"
