"""Schedules that were read lately, ready to be asked: reading one costs ten times as much as asking it."""

from functools import lru_cache

from ..broker_config.records import Schedule
from ..broker_config.schedule import Schedule as Calendar
from ..broker_config.timed.timed_invocation import Timed, calendar_of

#: A few kilobytes each: what a beat keeps does not grow with the number of schedules in Redis.
_KEPT_COUNT = 1000


def calendar_for(timed: Timed) -> Calendar:
    """The schedule of a timed invocation.

    Raises:
        InvalidFrequency, ValueError: it cannot be read on this machine.
    """
    schedule = timed.schedule
    is_anchored = schedule.frequency.lstrip().lower().startswith("rate")
    return _calendar(
        schedule.frequency,
        schedule.timezone,
        (schedule.day_rule, schedule.dst_gap, schedule.dst_overlap),
        timed.anchor_ms if is_anchored else 0,
    )


@lru_cache(maxsize=_KEPT_COUNT)
def _calendar(frequency: str, timezone: str, policies: tuple[str, str, str], anchor_ms: int) -> Calendar:
    day_rule, dst_gap, dst_overlap = policies
    schedule = Schedule(
        frequency=frequency, timezone=timezone, day_rule=day_rule, dst_gap=dst_gap, dst_overlap=dst_overlap
    )
    return calendar_of(schedule, anchor_ms)
