"""The page about schedules says what the schedules do."""

import re
from datetime import datetime
from pathlib import Path

import pytest

from cloud_assistant.broker_config.clock import iso_seconds
from cloud_assistant.broker_config.schedule.due_times import utc_ms_of
from cloud_assistant.broker_config.schedule.frequency import parse_frequency

PAGE = Path(__file__).parents[4] / "deploy" / "SCHEDULES.md"
ROWS = re.findall(r"^\| `([^`]+)` \| .* \| (\S+Z) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_page_has_its_examples() -> None:
    assert len(ROWS) >= 14


@pytest.mark.parametrize(("frequency", "first_due"), ROWS)
def test_an_example_is_first_due_when_the_page_says(frequency: str, first_due: str) -> None:
    start_ms = utc_ms_of(datetime.fromisoformat("2026-11-23T00:00:00Z"))
    due = parse_frequency(frequency, anchor_ms=start_ms).next_after(start_ms)
    assert due is not None
    assert iso_seconds(due.utc_ms) == first_due
