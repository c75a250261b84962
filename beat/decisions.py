"""What is to be done about a due time, at a moment. Pure.

A due time that no beat decided about in time counts as missed: when the next one has come as well, or after some
seconds. What runs of the missed ones is the misfire policy's affair:

* ``latest``: the last of them, unless the one after it is just due anyway.
* ``all``: the last few, in order, each after the end of the one before.
* ``skip``: none.

None runs that is older than the policies allow, and none after the schedule's end time. Everything else is left out,
with a row for each due time; when there are very many, with one row for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from ..broker_config.functions.timed import SkippedDue
from ..broker_config.schedule import DueTime
from ..broker_config.schedule import Schedule as Calendar
from ..broker_config.timed.due_stretch import last_due
from ..broker_config.timed.left_out import INFO, end_reason, left_out_rows
from ..broker_config.timed.timed_invocation import Timed, TimedStatus, next_due

#: A due time that is decided about later than this counts as missed: beats take over from one another faster.
MISSED_AFTER_MS = 5_000


@dataclass(frozen=True, slots=True)
class Policies:
    """What holds where a schedule says nothing."""

    misfire: str
    misfire_limit_count: int
    misfire_within_ms: int
    deliver_within_ms: int


@dataclass(frozen=True, slots=True)
class Fire:
    """Give every target an execution."""

    due: DueTime
    following: DueTime | None
    end_reason: str
    #: When executions that nobody took are given up.
    deadline_ms: int
    overlap: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave out one due time or more, the first of them being the one that is due."""

    rows: Sequence[SkippedDue]
    following: DueTime | None
    end_reason: str


def decide(timed: Timed, calendar: Callable[[], Calendar], policies: Policies, now_ms: int) -> Fire | Skip:
    """Decide about the due time of a timed invocation that goes on, as it stands at a moment.

    ``calendar`` is asked for only where the answer is not known already.
    """
    due = _due(timed)
    following = _following(timed, calendar)
    is_missed = now_ms - due.utc_ms > MISSED_AFTER_MS or (following is not None and following.utc_ms <= now_ms)
    if is_missed:
        return _make_up(timed, calendar(), policies, now_ms)
    ends = "" if following else end_reason(timed.schedule, calendar)
    reason = "paused" if timed.status == TimedStatus.PAUSED else due.skipped
    if reason:
        row = SkippedDue(due.utc_ms, due.utc_ms, 1, reason, INFO.get(reason, ""))
        return Skip([row], following, ends)
    start_ms = max(now_ms, due.utc_ms)
    deadline_ms = following.utc_ms - 1 if following else start_ms + _within_ms(timed, policies)
    if timed.deliver_within_ms:
        deadline_ms = min(deadline_ms, start_ms + _within_ms(timed, policies))
    return Fire(due, following, ends, deadline_ms, timed.schedule.overlap)


def refuse(fire: Fire) -> Skip:
    """Leave out what would have been fired: nobody with the producers' key asked for it as it now stands."""
    row = SkippedDue(fire.due.utc_ms, fire.due.utc_ms, 1, "refused", INFO["refused"])
    return Skip([row], fire.following, fire.end_reason)


def _make_up(timed: Timed, calendar: Calendar, policies: Policies, now_ms: int) -> Fire | Skip:
    """Decide about the first of several due times that have passed."""
    due, end_ms = _due(timed), timed.schedule.end_ms
    until_ms = min(now_ms, end_ms) if end_ms else now_ms
    reason, running = _still_to_run(timed, calendar, policies, now_ms, until_ms)
    if running and running[0].utc_ms == due.utc_ms:
        return _late_fire(timed, calendar, policies, now_ms)
    last_ms = running[0].utc_ms - 1 if running else until_ms
    following = running[0] if running else next_due(calendar, timed.schedule, until_ms)
    ends = "" if following else end_reason(timed.schedule, lambda: calendar)
    policy = _misfire(timed, policies)
    info = INFO.get(reason) or f"decided about {(now_ms - due.utc_ms) / 1000:.0f} s late; misfire policy {policy}"
    return Skip(left_out_rows(calendar, due, last_ms, reason, info), following, ends)


def _still_to_run(
    timed: Timed, calendar: Calendar, policies: Policies, now_ms: int, until_ms: int
) -> tuple[str, list[DueTime]]:
    """Why due times are left out, and which of those that have passed are not, in order."""
    end_ms = timed.schedule.end_ms
    if timed.status == TimedStatus.PAUSED:
        return "paused", []
    if end_ms and now_ms > end_ms + MISSED_AFTER_MS:
        return "ended", []
    policy = _misfire(timed, policies)
    kept_count = {"skip": 0, "latest": 1, "all": policies.misfire_limit_count}[policy]
    # One more than can run, for one that is just due, and one for a gap, in which nothing runs whatever the policy.
    latest = last_due(calendar, _due(timed).utc_ms - 1, until_ms, kept_count + 2)
    passed = [one for one in latest if not one.skipped]
    in_time = [one for one in passed[-1:] if now_ms - one.utc_ms <= MISSED_AFTER_MS]
    missed = passed[: len(passed) - len(in_time)]
    if policy == "latest" and in_time:
        missed = []
    oldest_ms = now_ms - policies.misfire_within_ms
    made_up = [one for one in missed[-kept_count:] if one.utc_ms >= oldest_ms] if kept_count else []
    return "misfire", [*made_up, *in_time]


def _late_fire(timed: Timed, calendar: Calendar, policies: Policies, now_ms: int) -> Fire:
    """Run a due time that has passed."""
    due = _due(timed)
    following = next_due(calendar, timed.schedule, due.utc_ms)
    upcoming = next_due(calendar, timed.schedule, now_ms)
    deadline_ms = upcoming.utc_ms - 1 if upcoming else now_ms + _within_ms(timed, policies)
    overlap = timed.schedule.overlap
    if _misfire(timed, policies) == "all":
        # Somebody wants them all: each waits for those before it instead of being left out because of them.
        # One that stands in a line cannot wait for another as well.
        overlap = "queue" if overlap == "skip" and timed.schedule.pacing is None else overlap
        wait_ms = policies.misfire_limit_count * timed.timeout_seconds * 1000
        deadline_ms = max(deadline_ms, now_ms + _within_ms(timed, policies) + wait_ms)
    elif timed.deliver_within_ms:
        deadline_ms = min(deadline_ms, now_ms + _within_ms(timed, policies))
    ends = "" if following else end_reason(timed.schedule, lambda: calendar)
    late_ms = now_ms - due.utc_ms
    note = f"fired {late_ms / 1000:.1f} s late" if late_ms > MISSED_AFTER_MS else ""
    return Fire(due, following, ends, deadline_ms, overlap, note)


def _due(timed: Timed) -> DueTime:
    if timed.due is None:
        raise ValueError(f"{timed.invoke_id} has no due time")
    return timed.due


def _following(timed: Timed, calendar: Callable[[], Calendar]) -> DueTime | None:
    return timed.following if timed.is_planned else next_due(calendar(), timed.schedule, _due(timed).utc_ms)


def _misfire(timed: Timed, policies: Policies) -> str:
    return timed.schedule.misfire or policies.misfire


def _within_ms(timed: Timed, policies: Policies) -> int:
    """The time for delivery, which the last of those that a jitter holds back has as well as the first."""
    return (timed.deliver_within_ms or policies.deliver_within_ms) + ceil(timed.schedule.jitter_seconds * 1000)
