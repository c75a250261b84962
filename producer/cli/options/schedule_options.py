"""Options that say when an invocation runs. Below ``takes_run_options`` they complete the options of the request."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec

from ....broker_config.records import RepeatMode, Schedule
from ...invocations.invoking import RunOptions
from ...timed.modes import DAY_RULES, GAP_POLICIES, MISFIRE_POLICIES, OVERLAP_POLICIES, REPEAT_POLICIES
from ...timed.modes import repeat_mode as mode_of
from ..call import Call
from .argument_types import Duration, filled

Answer = TypeVar("Answer")

_MODES = [mode.value for mode in RepeatMode]

_FREQUENCY_HELP = (
    "Run on a schedule: cron with seconds first ('0 */10 * * * *'), rate(5 m), or at(2030-06-01 08:30:00)."
)


def schedule_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --frequency and all that goes with it; the command's ``options`` get it as their schedule.

    Goes between ``takes_run_options`` and the command.
    """

    @click.option("--frequency", metavar="TEXT", callback=filled, help=_FREQUENCY_HELP)
    @click.option(
        "--repeat-mode",
        type=click.Choice(_MODES),
        help="NextRebootOnly and EveryReboot run when the machine starts.  [default: Once, or Period with --frequency]",
    )
    @policy_options
    @functools.wraps(function)
    def collect(
        call: Call,
        *arguments: Any,
        options: RunOptions,
        frequency: str,
        repeat_mode: str | None,
        policies: dict[str, Any],
        **rest: Any,
    ) -> Answer:
        if policies and not frequency:
            raise click.UsageError("the options of a schedule need --frequency")
        _refuse_contradiction(frequency, repeat_mode, is_dry_run=options.schedule.repeat_mode == RepeatMode.DRY_RUN)
        if frequency or repeat_mode:
            schedule = schedule_of(call, frequency, policies)
            schedule = msgspec.structs.replace(schedule, repeat_mode=mode_of(repeat_mode or "", frequency))
            options = msgspec.structs.replace(options, schedule=schedule)
        return function(call, *arguments, options=options, **rest)

    return collect


def _refuse_contradiction(frequency: str, repeat_mode: str | None, *, is_dry_run: bool) -> None:
    """Refuse what would run otherwise than one of the options says; most of all a dry run that runs."""
    other_mode = f"--repeat-mode {repeat_mode}"
    if is_dry_run and (frequency or repeat_mode not in (None, RepeatMode.DRY_RUN)):
        other = "--frequency" if frequency else other_mode
        raise click.UsageError(f"--dry-run checks now: it does not go with {other}")
    if frequency and repeat_mode not in (None, RepeatMode.PERIOD):
        raise click.UsageError(f"{other_mode} does not go with --frequency, which means Period; leave one of them out")


def policy_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the policies of a schedule; the command gets those that were given as ``policies``, by stored field."""

    @click.option(
        "--overlap",
        type=click.Choice(OVERLAP_POLICIES),
        help="What to do while the previous execution on an instance is still running: leave this "
        "one out, let it wait, end the previous one first, or run both.  [default: skip]",
    )
    @click.option(
        "--misfire",
        type=click.Choice(MISFIRE_POLICIES),
        help="Which due times to make up for that passed while no beat was running.  [default: beat.misfire, latest]",
    )
    @click.option("--max-count", type=click.IntRange(1), help="End after this many runs.")
    @click.option(
        "--jitter",
        type=Duration(),
        help="Start each instance up to this much later, the same instance always by the same amount.",
    )
    @calendar_options
    @functools.wraps(function)
    def collect(
        *arguments: Any,
        policies: dict[str, Any],
        overlap: str | None,
        misfire: str | None,
        max_count: int | None,
        jitter: float | None,
        **rest: Any,
    ) -> Answer:
        given = {"overlap": overlap, "misfire": misfire, "max_count": max_count, "jitter_seconds": jitter}
        return function(*arguments, policies={**policies, **_given(given)}, **rest)

    return collect


def calendar_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add what decides when a frequency is due; the command gets what was given as ``policies``, by stored field.

    Only the end time is there as text, as ``end_time``: which moment it is depends on the frequency too.
    """

    @click.option(
        "--timezone",
        metavar="ZONE",
        callback=filled,
        help="Time zone of the frequency.  [default: beat.timezone, UTC]",
    )
    @click.option(
        "--end-time",
        metavar="TIME",
        callback=filled,
        help="Never due after this time, as in 2030-12-31T23:00:00Z; without Z or an offset, it "
        "is in the schedule's zone.",
    )
    @click.option(
        "--day-rule",
        type=click.Choice(DAY_RULES),
        help="With both day fields set, a day counts when either or both match.  [default: either]",
    )
    @click.option(
        "--dst-gap",
        type=click.Choice(GAP_POLICIES),
        help="What to do when the clocks go forward over a due time.  [default: run_after]",
    )
    @click.option(
        "--dst-overlap",
        type=click.Choice(REPEAT_POLICIES),
        help="What to do when the clocks go back and a due time comes twice.  [default: once]",
    )
    @functools.wraps(function)
    def collect(
        *arguments: Any,
        timezone: str,
        end_time: str,
        day_rule: str | None,
        dst_gap: str | None,
        dst_overlap: str | None,
        **rest: Any,
    ) -> Answer:
        given = {
            "timezone": timezone or None,
            "end_time": end_time or None,
            "day_rule": day_rule,
            "dst_gap": dst_gap,
            "dst_overlap": dst_overlap,
        }
        return function(*arguments, policies=_given(given), **rest)

    return collect


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def schedule_of(call: Call, frequency: str, policies: Mapping[str, Any]) -> Schedule:
    """Make a schedule of a frequency and what ``calendar_options`` or ``policy_options`` gave."""
    fields = {name: value for name, value in policies.items() if name != "end_time"}
    schedule = Schedule(frequency=frequency, **fields)
    if "end_time" in policies:
        schedule = msgspec.structs.replace(schedule, end_ms=moment_of(call, policies["end_time"], schedule))
    return schedule


def moment_of(call: Call, text: str, schedule: Schedule) -> int:
    """Read a moment; without an offset it is in the schedule's zone."""
    from ...timed.showing import moment_ms  # lazy: few calls need a calendar

    return moment_ms(text, schedule, call.loaded.settings.beat.timezone)
