"""What a person may choose about a schedule beyond its text."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

DayRule = Literal["either", "both"]
GapPolicy = Literal["run_after", "skip"]
OverlapPolicy = Literal["once", "twice"]

_CHOICES = {"day_rule": DayRule, "gap": GapPolicy, "overlap": OverlapPolicy}


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """Choose how days combine and what happens when the zone's clock is changed.

    * ``day_rule``: with both day fields restricted, a day counts when ``either`` matches (the classic cron union,
      the default) or only when ``both`` do. A day field is unrestricted only when it is ``*`` or ``?``; ``*/2`` is a
      restriction.
    * ``gap``: a due time on a wall-clock time that the clock jumps over runs at the first instant after the jump
      (``run_after``, the default; once, however many due times were jumped over), or leaves one due time marked
      ``dst_gap`` at that instant (``skip``).
    * ``overlap``: a due time on a wall-clock time that comes twice counts ``once``, the first time (the default), or
      ``twice``. It applies to schedules of fixed hours; see ``cron.CronSchedule``.

    Raises:
        ValueError: any other word.
    """

    day_rule: DayRule = "either"
    gap: GapPolicy = "run_after"
    overlap: OverlapPolicy = "once"

    def __post_init__(self) -> None:
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(_CHOICES[field.name])
            if value not in allowed:
                raise ValueError(f"{field.name} {value!r} is unknown; allowed are {', '.join(allowed)}")
