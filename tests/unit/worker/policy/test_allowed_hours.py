"""Hours of a policy, by the clock of its own zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cloud_assistant.worker.policy.allowed_hours import parse_hours


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("hours", "moment", "holds"),
    [
        ("Mon-Fri 08:00-18:00", "2026-11-23T08:00", True),  # a Monday
        ("Mon-Fri 08:00-18:00", "2026-11-23T07:59:59", False),
        ("Mon-Fri 08:00-18:00", "2026-11-23T18:00", False),
        ("Mon-Fri 08:00-18:00", "2026-11-28T12:00", False),
        ("Fri-Mon 08:00-18:00", "2026-11-29T12:00", True),
        ("Fri-Mon 08:00-18:00", "2026-11-25T12:00", False),
        ("Sat,Sun 00:00-24:00", "2026-11-29T23:59", True),
        ("08:00-09:00", "2026-11-29T08:30", True),
        ("Sat 22:00-06:00", "2026-11-28T23:00", True),
        ("Sat 22:00-06:00", "2026-11-29T05:59", True),
        ("Sat 22:00-06:00", "2026-11-29T06:00", False),
        ("Sat 22:00-06:00", "2026-11-28T05:00", False),
        ("Sat 22:00-24:00", "2026-11-28T23:59", True),
    ],
)
def test_a_moment_is_within_or_not(hours: str, moment: str, holds: bool) -> None:
    assert parse_hours([hours], "UTC").hold(at(moment)) is holds


def test_the_zone_of_the_policy_counts() -> None:
    hours = parse_hours(["Mon-Fri 08:00-18:00"], "Asia/Shanghai")
    assert hours.hold(at("2026-11-23T08:30", "Asia/Shanghai"))
    assert not hours.hold(at("2026-11-23T17:30", "Europe/Berlin"))


def test_no_stretch_means_never() -> None:
    assert not parse_hours([], "UTC").hold(at("2026-11-23T12:00"))


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        ("always", "UTC"),
        ("Mon 8-18", "UTC"),
        ("Xyz 08:00-18:00", "UTC"),
        ("08:00-08:00", "UTC"),
        ("08:60-09:00", "UTC"),
        ("23:00-24:30", "UTC"),
        ("08:00-18:00", "Mars/Base"),
        ("08:00-18:00", "../../etc/passwd"),
    ],
)
def test_what_cannot_be_read_is_refused(hours: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"zone|hours|day|length|TZPATH"):
        parse_hours([hours], zone)
