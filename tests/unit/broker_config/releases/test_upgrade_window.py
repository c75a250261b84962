"""The hours in which an instance may upgrade."""

from datetime import UTC, datetime

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.releases.upgrade_window import parse_window


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("window", "moment", "holds"),
    [
        ("02:00-04:30 UTC", "2026-11-23T02:00", True),
        ("02:00-04:30 UTC", "2026-11-23T04:29", True),
        ("02:00-04:30 UTC", "2026-11-23T04:30", False),
        ("22:00-06:00 UTC", "2026-11-23T23:00", True),
        ("22:00-06:00 UTC", "2026-11-23T05:59", True),
        ("22:00-06:00 UTC", "2026-11-23T12:00", False),
        # The 23rd is a Monday: its early hours belong to Sunday's window.
        ("sun 22:00-06:00 UTC", "2026-11-23T05:00", True),
        ("sat 22:00-06:00 UTC", "2026-11-23T05:00", False),
        ("sat,sun 22:00-06:00 UTC", "2026-11-23T23:00", False),
        # It ends where it begins: a day later.
        ("02:00-02:00 UTC", "2026-11-23T12:00", True),
        ("sun 02:00-02:00 UTC", "2026-11-23T01:59", True),
        ("sun 02:00-02:00 UTC", "2026-11-23T02:00", False),
        ("00:00-24:00 utc", "2026-11-23T12:00", True),
    ],
)
def test_a_window_holds_in_its_hours(window: str, moment: str, holds: bool) -> None:
    parsed = parse_window(window)
    assert parsed is not None
    assert parsed.holds(at(moment)) is holds


def test_no_window_is_any_time() -> None:
    assert parse_window("") is None


@pytest.mark.parametrize("text", ["2-4", "25:00-26:00", "24:00-01:00", "nie 02:00-03:00", "02:00-03:00 CET"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        parse_window(text)
