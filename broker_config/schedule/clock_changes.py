"""Where a zone's wall clock jumps: the gap it leaves out, or the overlap it shows twice.

Daylight saving is the usual cause; a zone that changes its offset for good, or moves across the date line, is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """Hold one jump: its instant, and what the wall clock would have shown and does show at that instant.

    A gap holds the wall-clock times from ``local_before`` up to ``local_after``, which never come; an overlap those
    from ``local_after`` up to ``local_before``, which come twice.
    """

    instant: datetime
    local_before: datetime
    local_after: datetime

    @property
    def is_gap(self) -> bool:
        """Tell whether the clock jumps forward."""
        return self.local_after > self.local_before


def clock_change_at(local: datetime, zone: tzinfo) -> ClockChange | None:
    """Return the gap or overlap that a wall-clock time lies in; None for a time that comes exactly once."""
    before = _offset(local.replace(tzinfo=zone, fold=0))
    after = _offset(local.replace(tzinfo=zone, fold=1))
    if before == after:
        return None
    instant = _jump_between(local - max(before, after), local - min(before, after), zone)
    wall = instant.replace(tzinfo=None)
    return ClockChange(instant, local_before=wall + before, local_after=wall + after)


def _jump_between(early: datetime, late: datetime, zone: tzinfo) -> datetime:
    """Find the first second of the new offset, between an instant before the jump and one at or after it."""
    early, late = early.replace(tzinfo=UTC), late.replace(tzinfo=UTC)
    old = _offset(early.astimezone(zone))
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if _offset(middle.astimezone(zone)) == old:
            early = middle
        else:
            late = middle
    return late


def _offset(local: datetime) -> timedelta:
    offset = local.utcoffset()
    if offset is None:
        raise ValueError(f"{local.tzinfo!r} has no offset at {local}")
    return offset
