"""A due time, and what every schedule can say about its due times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .zones import zone_named

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

#: A due time that the clock change jumped over, under the policy that skips it.
DST_GAP = "dst_gap"


@dataclass(frozen=True, slots=True, order=True)
class DueTime:
    """Name one instant a schedule is due; ``skipped`` is empty, or the reason why nothing may run then."""

    utc_ms: int
    skipped: str = ""


def utc_ms_of(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970 in UTC."""
    return (moment - EPOCH) // MILLISECOND


class Schedule(ABC):
    """Answer when a timed invocation is due. Immutable, safe to share between threads, and without a clock.

    Due times are strictly increasing, and iterating from anywhere gives the same ones: what a preview shows is what
    later comes due.
    """

    #: The name of the zone that it is read and shown in.
    zone: str

    @property
    @abstractmethod
    def canonical(self) -> str:
        """Return the schedule as text: parsed again, whatever the default zone, it has the same due times."""

    @abstractmethod
    def next_after(self, after_ms: int) -> DueTime | None:
        """Return the first due time strictly after an instant, or None when there is none any more."""

    def due_times(self, after_ms: int, count: int) -> Iterator[DueTime]:
        """Iterate over the next due times strictly after an instant: ``count`` of them, fewer if the schedule ends."""
        for _ in range(count):
            due = self.next_after(after_ms)
            if due is None:
                return
            yield due
            after_ms = due.utc_ms

    def local_text(self, due: DueTime) -> str:
        """Render a due time in the schedule's zone: ISO 8601 with the offset of that moment."""
        moment = EPOCH + timedelta(milliseconds=due.utc_ms)
        return moment.astimezone(zone_named(self.zone)).isoformat(timespec="seconds")
