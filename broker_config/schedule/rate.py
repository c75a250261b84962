"""``rate(n unit)``: a fixed interval on the grid of the creation time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .due_times import DueTime, Schedule
from .text_span import Span

ALLOWED = "rate(n unit) with unit s, m, h or d, from 60 s to 7 d, such as rate(5 m)"
MINIMUM_SECONDS = 60
MAXIMUM_SECONDS = 7 * 86_400

_RATE = re.compile(r"rate[ \t]*\([ \t]*([0-9]+)[ \t]*([smhd])[ \t]*\)", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class RateSchedule(Schedule):
    """Be due one interval after the creation, and then at every further interval, however long a run takes.

    The zone is only for showing; the interval is elapsed time and knows no clock changes.
    """

    count: int
    unit: str
    anchor_ms: int
    zone: str

    @property
    def canonical(self) -> str:
        """Return the rate as text; its grid starts at the creation, which is not part of it."""
        return f"rate({self.count}{self.unit})"

    @property
    def interval_seconds(self) -> int:
        """Return the time between two due times."""
        return self.count * _UNIT_SECONDS[self.unit]

    def next_after(self, after_ms: int) -> DueTime | None:
        """Return the first point of the grid strictly after an instant; there always is one."""
        interval_ms = self.interval_seconds * 1000
        passed_count = max((after_ms - self.anchor_ms) // interval_ms, 0)
        return DueTime(self.anchor_ms + (passed_count + 1) * interval_ms)


def parse_rate(expression: Span, zone: str, anchor_ms: int) -> RateSchedule:
    """Parse a rate expression.

    Raises:
        InvalidFrequency: it is none, or out of range.
    """
    match = _RATE.fullmatch(expression.text)
    if match is None:
        raise expression.refused(f"this is not a rate; allowed is {ALLOWED}")
    number = expression.part(*match.span(1))
    if number.text.startswith("00"):
        raise number.refused(f"rate: {number.text!r} has too many leading zeros; allowed is {ALLOWED}")
    schedule = RateSchedule(int(number.text), match[2].lower(), anchor_ms, zone)
    if not MINIMUM_SECONDS <= schedule.interval_seconds <= MAXIMUM_SECONDS:
        raise number.refused(f"rate: {schedule.interval_seconds} s is out of range; allowed is {ALLOWED}")
    return schedule
