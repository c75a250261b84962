"""Zones by name."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

import pytest

from cloud_assistant.broker_config.schedule import InvalidFrequency
from cloud_assistant.broker_config.schedule.text_span import Span
from cloud_assistant.broker_config.schedule.zones import zone_name, zone_named


@pytest.mark.parametrize(
    ("text", "name", "offset_minutes"),
    [
        ("UTC", "UTC", 0),
        ("utc", "UTC", 0),
        ("Gmt", "GMT", 0),
        ("gmt+8:00", "GMT+8:00", 480),
        ("GMT-3:30", "GMT-3:30", -210),
        ("GMT+0:00", "GMT+0:00", 0),
        ("GMT+14:00", "GMT+14:00", 840),
        ("Asia/Kathmandu", "Asia/Kathmandu", 345),
        ("Etc/GMT+8", "Etc/GMT+8", -480),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires", -180),
    ],
)
def test_a_zone_has_a_canonical_name_and_an_offset(text: str, name: str, offset_minutes: int) -> None:
    assert zone_name(Span.whole(text)) == name
    assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(zone_named(name)).utcoffset() == timedelta(
        minutes=offset_minutes
    )


@pytest.mark.parametrize(
    "text",
    [
        "GMT+15:00",
        "GMT+08:00",
        "GMT+8",
        "GMT+8:0",
        "GMT+8:60",
        "CST8",
        "America",
        "right/UTC",
        "posix/UTC",
        "localtime",
        "posixrules",
        "../UTC",
        "/etc/localtime",
        "zone.tab",
        "tzdata.zi",
        "Asia/Shanghai/",
        "Asia//Shanghai",
        "Азия",
        "UTC\x00",
    ],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(InvalidFrequency, match=r"zone .*at character 1 of"):
        zone_name(Span.whole(text))


def test_a_stored_zone_that_this_machine_has_no_data_for_is_a_clear_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError, match="install the tzdata package"):
        zone_named("Mars/Olympus")
