"""Check what a request says about when it runs: repeat mode, frequency, zone and policies.

The grammar is in ``broker_config/schedule``; here are the API's codes and the rules that need "now" and settings.
"""

from dataclasses import dataclass
from math import ceil

import msgspec

from ...broker_config.clock import iso_seconds
from ...broker_config.errors import RequestInvalid
from ...broker_config.records import Invocation, RepeatMode, Schedule
from ...broker_config.schedule import Schedule as Calendar
from ...broker_config.schedule.checks import check_future, check_interval
from ...broker_config.settings_table import BeatSettings
from ...broker_config.timed.timed_invocation import calendar_of, next_due
from ..validation import TIMEOUT_SECONDS_MIN
from .frequency import readable_frequency
from .modes import (
    DAY_RULES,
    GAP_POLICIES,
    MISFIRE_POLICIES,
    OVERLAP_POLICIES,
    REPEAT_POLICIES,
    refuse_other_zone,
    repeat_mode,
)

#: A jitter as long as this is no jitter but another schedule.
JITTER_SECONDS_MAX = 86_400


@dataclass(frozen=True)
class CheckedSchedule:
    """A schedule whose zone and policies are settled, and when it is due."""

    schedule: Schedule
    #: ``None`` for one that is bound to the start of machines, or runs once.
    calendar: Calendar | None


def check_schedule(
    schedule: Schedule, settings: BeatSettings, *, timeout_seconds: int, now_ms: int, anchor_ms: int | None = None
) -> CheckedSchedule:
    """Check a schedule, and settle the zone that it is read in.

    ``anchor_ms`` is where the grid of a rate starts, now unless given.

    Raises:
        RequestInvalid: with the reason, and for a frequency the place in it.
        NotFound: there is no such repeat mode.
    """
    mode = repeat_mode(schedule.repeat_mode, schedule.frequency)
    if mode != RepeatMode.PERIOD:
        return CheckedSchedule(msgspec.structs.replace(schedule, repeat_mode=mode), None)
    _check_policies(schedule)
    asked = msgspec.structs.replace(
        schedule,
        repeat_mode=mode,
        frequency=schedule.frequency.strip(),
        timezone=schedule.timezone or settings.timezone,
    )
    with readable_frequency():
        calendar = calendar_of(asked, now_ms if anchor_ms is None else anchor_ms)
        check_future(calendar, now_ms)
        check_interval(
            calendar,
            minimum_interval_seconds=settings.minimum_interval_seconds,
            jitter_seconds=ceil(schedule.jitter_seconds),
            # Nobody can ask for less than the shortest timeout: it is no reason to refuse shorter intervals.
            timeout_seconds=timeout_seconds if timeout_seconds > TIMEOUT_SECONDS_MIN else 0,
            now_ms=now_ms,
        )
    refuse_other_zone(schedule, calendar.zone)
    settled = msgspec.structs.replace(asked, timezone=calendar.zone)
    if next_due(calendar, settled, now_ms) is None:
        raise RequestInvalid(
            f"the end time {iso_seconds(schedule.end_ms)} is before the first due time", code="InvalidParameter.EndTime"
        )
    return CheckedSchedule(settled, calendar)


def check_timed(invocation: Invocation, settings: BeatSettings, *, is_within_given: bool, now_ms: int) -> Invocation:
    """Check the schedule of an invocation that is about to be stored, and complete it.

    Without a time for delivery of its own, an execution is given up when the next one is due.

    Raises:
        RequestInvalid, NotFound: as ``check_schedule``.
    """
    checked = check_schedule(invocation.schedule, settings, timeout_seconds=invocation.timeout_seconds, now_ms=now_ms)
    within_seconds = invocation.deliver_within_seconds if is_within_given else 0
    return msgspec.structs.replace(invocation, schedule=checked.schedule, deliver_within_seconds=within_seconds)


def _check_policies(schedule: Schedule) -> None:
    for name, value, allowed in (
        ("OverlapPolicy", schedule.overlap, OVERLAP_POLICIES),
        ("MisfirePolicy", schedule.misfire or MISFIRE_POLICIES[0], MISFIRE_POLICIES),
        ("DayRule", schedule.day_rule, DAY_RULES),
        ("DstGap", schedule.dst_gap, GAP_POLICIES),
        ("DstOverlap", schedule.dst_overlap, REPEAT_POLICIES),
    ):
        if value not in allowed:
            raise RequestInvalid(
                f"{name} {value!r} is unknown; use one of {', '.join(allowed)}", code=f"InvalidParameter.{name}"
            )
    _check_pacing(schedule)
    if schedule.max_count < 0:
        raise RequestInvalid("the most runs cannot be negative; 0 means no limit", code="InvalidParameter.MaxCount")
    if not 0 <= schedule.jitter_seconds <= JITTER_SECONDS_MAX:
        raise RequestInvalid(
            f"a jitter is between 0 and {JITTER_SECONDS_MAX} s, not {schedule.jitter_seconds:g}",
            code="InvalidParameter.Jitter",
        )


def _check_pacing(schedule: Schedule) -> None:
    """Refuse what an instance would have to wait for beside those before it in its line."""
    if schedule.pacing is None:
        return
    for option, is_given, remedy in (
        (f"--overlap {schedule.overlap}", schedule.overlap in ("queue", "cancel"), "--overlap skip or allow"),
        ("--misfire all", schedule.misfire == "all", "--misfire latest or skip"),
        ("--jitter", schedule.jitter_seconds > 0, "--jitter 0"),
    ):
        if is_given:
            raise RequestInvalid(
                f"how many at once (--at-once, AtOnce) does not go with {option}: an instance waits for its turn, or "
                f"for something else; use {remedy}, or run everywhere at once",
                code="InvalidParameter.Pacing",
            )
