"""Look at timed invocations: list them, say when they are due, and what became of each due time."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfoNotFoundError

from ...broker_config import keys
from ...broker_config.errors import RecordUnreadable, RequestInvalid
from ...broker_config.ids import execution_id
from ...broker_config.ledger import StoredInvocation, load_invocation, load_invocations, load_targets, states_of
from ...broker_config.records import RepeatMode, Schedule
from ...broker_config.redis.client import Redis
from ...broker_config.schedule import DueTime
from ...broker_config.schedule import Schedule as Calendar
from ...broker_config.schedule.due_times import utc_ms_of
from ...broker_config.schedule.zones import zone_named
from ...broker_config.timed.firing_rows import Firing, FiringStatus, latest_firings
from ...broker_config.timed.timed_invocation import (
    Timed,
    TimedStatus,
    calendar_of,
    due_times,
    load_timed,
    load_timed_all,
    server_ms,
    stored_calendar,
)
from ..paging import Page, PageRequest, read_page
from .frequency import readable_frequency
from .modes import refuse_other_zone

PREVIEW_COUNT_MAX = 1_000
_STANDING = {
    TimedStatus.PAUSED: "it is paused: due times are left out until it is resumed",
    TimedStatus.STOPPED: "it was stopped and is not due any more",
    TimedStatus.ENDED: "it has ended and is not due any more",
}


@dataclass(frozen=True)
class TimedView:
    """A timed invocation with its record."""

    stored: StoredInvocation
    timed: Timed


@dataclass(frozen=True)
class Preview:
    """When a schedule is due, and how to show that in its zone."""

    calendar: Calendar
    due_times: Sequence[DueTime]
    #: What else decides whether it runs then, for a person.
    note: str = ""


@dataclass(frozen=True)
class FiringView:
    """A firing with what came of its executions."""

    firing: Firing
    #: Executions by state.
    counts: Mapping[str, int] = field(default_factory=dict)
    #: (instance id, state, error code) of each execution.
    outcomes: Sequence[tuple[str, str, str]] = ()


def list_timed(redis: Redis, page: PageRequest) -> Page[TimedView]:
    """List timed invocations, newest first, those that are over included."""

    def load(invoke_ids: Sequence[str]) -> list[TimedView | RecordUnreadable | None]:
        pairs = zip(load_timed_all(redis, invoke_ids), load_invocations(redis, invoke_ids), strict=True)
        return [_timed_view(*pair) for pair in pairs]

    return read_page(redis, keys.INVOCATIONS_TIMED, page, load)


def _timed_view(
    timed: Timed | RecordUnreadable | None, stored: StoredInvocation | RecordUnreadable | None
) -> TimedView | RecordUnreadable | None:
    if isinstance(timed, Timed) and isinstance(stored, StoredInvocation):
        return TimedView(stored, timed)
    return next((one for one in (timed, stored) if isinstance(one, RecordUnreadable)), None)


def show_timed(redis: Redis, invoke_id: str) -> TimedView:
    """Read one timed invocation.

    Raises:
        NotFound: there is none with this id.
    """
    timed = load_timed(redis, invoke_id)
    return TimedView(load_invocation(redis, invoke_id), timed)


def preview_stored(redis: Redis, invoke_id: str, *, after_ms: int | None, count: int) -> Preview:
    """The due times of a stored timed invocation that come after a moment, now unless given.

    Raises:
        NotFound: there is none with this id. RequestInvalid: it is bound to the start of machines.
    """
    timed = load_timed(redis, invoke_id)
    if timed.is_boot_bound:
        raise RequestInvalid(
            f"{invoke_id} runs when machines start ({timed.schedule.repeat_mode}) and has no due times",
            code="InvalidParameter.Frequency",
        )
    calendar = stored_calendar(timed)
    start_ms = server_ms(redis) if after_ms is None else after_ms
    found = list(left_to_run(timed, due_times(calendar, timed.schedule, start_ms, _checked(count))))
    return Preview(calendar, found, _STANDING.get(timed.status, ""))


def left_to_run(timed: Timed, found: Iterator[DueTime]) -> Iterator[DueTime]:
    """Those that will come, if none of them is left out, before the most runs are reached."""
    if not timed.goes_on:
        return
    limit = timed.schedule.max_count
    left = limit - timed.fired_count
    for due in found:
        if limit and left <= 0:
            return
        left -= not due.skipped
        yield due


def preview(schedule: Schedule, *, default_zone: str, after_ms: int, count: int) -> Preview:
    """The due times of a schedule that is not stored; the grid of a rate starts in the moment after ``after_ms``.

    Raises:
        RequestInvalid: it cannot be read (``InvalidParam.Frequency``).
    """
    asked = Schedule(
        repeat_mode=RepeatMode.PERIOD,
        frequency=schedule.frequency,
        timezone=schedule.timezone or default_zone,
        day_rule=schedule.day_rule,
        dst_gap=schedule.dst_gap,
        dst_overlap=schedule.dst_overlap,
        end_ms=schedule.end_ms,
    )
    with readable_frequency():
        calendar = calendar_of(asked, after_ms + 1)
        refuse_other_zone(schedule, calendar.zone)
        return Preview(calendar, list(due_times(calendar, asked, after_ms, _checked(count))))


def moment_ms(text: str, schedule: Schedule, default_zone: str) -> int:
    """Read a moment, ISO 8601; without an offset it is in the zone that the schedule is read in.

    Raises:
        RequestInvalid: it is no such text, there is no such zone, or the schedule's frequency cannot be read.
    """
    with readable_frequency():
        zone = zone_of(schedule, default_zone)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone_named(zone))
    except (ValueError, ZoneInfoNotFoundError) as exc:
        raise RequestInvalid(
            f"{text!r} is not a moment ({exc}); write 2026-12-31T23:00:00Z, or without Z for zone {zone}",
            code="InvalidParameter.Time",
        ) from exc
    return utc_ms_of(moment)


def zone_of(schedule: Schedule, default_zone: str) -> str:
    """Tell which zone a schedule is read in: the one in its frequency, else its own, else the default.

    Raises:
        InvalidFrequency: its text cannot be read, or it names no known zone.
    """
    own_zone = schedule.timezone or default_zone
    if not schedule.frequency.strip():
        return own_zone
    return calendar_of(Schedule(frequency=schedule.frequency, timezone=own_zone), 0).zone


def history(redis: Redis, invoke_id: str, page: PageRequest) -> Page[FiringView]:
    """What became of the due times of a timed invocation, the latest first, with the outcome of each target.

    Raises:
        NotFound: there is no timed invocation with this id.
    """
    page.check()
    load_timed(redis, invoke_id)
    firings = latest_firings(redis, invoke_id, page.first, page.size)
    targets = load_targets(redis, invoke_id)
    views = [_view(redis, firing, targets) for firing in firings]
    return Page(views, redis.call("ZCARD", keys.firings(invoke_id)), "", page.number, page.size)


def _view(redis: Redis, firing: Firing, targets: Sequence[str]) -> FiringView:
    if firing.status == FiringStatus.SKIPPED:
        return FiringView(firing)
    instance_ids = firing.instances or targets
    states = states_of(redis, [(one, execution_id(firing.invoke_id, firing.due_ms, one)) for one in instance_ids])
    outcomes = [(one, *state) for one, state in zip(instance_ids, states, strict=True) if state[0]]
    return FiringView(firing, dict(Counter(state for _, state, _ in outcomes)), outcomes)


def _checked(count: int) -> int:
    if not 1 <= count <= PREVIEW_COUNT_MAX:
        raise RequestInvalid(
            f"a preview shows 1 to {PREVIEW_COUNT_MAX} due times, not {count}", code="InvalidParameter.Count"
        )
    return count
