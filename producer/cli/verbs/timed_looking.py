"""``assist timed list``, ``show`` and ``preview``, and ``assist invocation history``."""

from collections.abc import Mapping
from typing import Any

import click

from ....broker_config.clock import iso_seconds
from ....broker_config.ids import is_invocation_id
from ....broker_config.programs.counted import counted
from ...paging import PageRequest
from ...timed.shapes import firing_shape, preview_shape, timed_shape
from ...timed.showing import FiringView, TimedView
from ..assist_command import assist_command
from ..call import Call
from ..options.argument_types import filled
from ..options.pacing_options import pacing_text
from ..options.request_options import takes_page
from ..options.schedule_options import calendar_options, moment_of, schedule_of
from ..printing.page_printing import note_on_page, print_page
from ..printing.tables import print_properties, print_table
from ..printing.text_cells import by_state, names_that_fit

#: Names of instances shown in one cell.
_NAMES_COLUMNS = 40


@assist_command("list", examples=("assist timed list", "assist timed list --limit 10 --output json"))
@takes_page
def list_timed(call: Call, *, page: PageRequest) -> None:
    """List timed invocations, newest first, including those that are over."""
    found = call.assistant.timed.list(page)
    headers = (
        "INVOCATION",
        "STATUS",
        "FREQUENCY",
        "ZONE",
        "NEXT DUE (UTC)",
        "FIRED",
        "LEFT OUT",
        "TARGETS",
        "NAME",
    )
    print_page(call, found, page, "timed invocation", shape=timed_shape, headers=headers, row=_row)


@assist_command("show", examples=("assist timed show t-…", "assist timed show t-… --output json"))
@click.argument("invoke_id", metavar="ID")
def show(call: Call, *, invoke_id: str) -> None:
    """Show a timed invocation: its schedule, its policies, and how far it has come."""
    shape = timed_shape(call.assistant.timed.show(invoke_id))
    if call.wants_json:
        call.print_json(shape)
        return
    says_more = shape["EndReason"] not in ("", shape["Status"])
    status = shape["Status"] + (f" ({shape['EndReason']})" if says_more else "")
    pairs = [
        ("Invocation", shape["InvokeId"]),
        ("Status", status),
        ("Command", f"{shape['CommandId']} {shape['CommandName']}"),
        ("Repeats", f"{shape['RepeatMode']} {shape['Frequency']}".strip()),
        ("Zone", shape["TimeZone"]),
        ("Next due", f"{shape['NextDueTime']} ({shape['NextDueTimeLocal']})" if shape["NextDueTime"] else ""),
        ("Last fired", shape["LastDueTime"]),
        ("Fired", counted(shape["FiredCount"], "time")),
        ("Left out", counted(shape["SkippedCount"], "time")),
        ("Targets", f"{shape['TargetCount']:,}"),
        *(_policies(shape) if shape["Frequency"] else ()),
        ("Created", shape["CreationTime"]),
        ("Ended", shape["EndedTime"]),
    ]
    print_properties(call, pairs)


@assist_command(
    "preview",
    examples=(
        "assist timed preview '0 */10 * * * *'",
        "assist timed preview '0 30 2 * * *' --timezone Europe/Berlin --from 2026-03-27 --count 5",
        "assist timed preview 'rate(5 m)' --output json",
    ),
)
@click.argument("expression", metavar="FREQUENCY|ID")
@calendar_options
@click.option(
    "--from",
    "start",
    metavar="TIME",
    callback=filled,
    help="Begin at this time instead of now; written like --end-time.",
)
@click.option(
    "--count", type=click.IntRange(1, 1000), default=10, help="How many due times to show.", show_default=True
)
def preview(call: Call, *, expression: str, policies: dict[str, Any], start: str, count: int) -> None:
    """Show when a frequency, or a timed invocation, is due: in UTC and in its zone."""
    timed = call.assistant.timed
    is_stored = is_invocation_id(expression)
    if is_stored and policies:
        # Shown in another zone, or without its own end, it would be another schedule than the one that runs.
        raise click.UsageError(f"{expression} has its own zone, end and rules; only --from and --count go with an id")
    schedule = timed.show(expression).timed.schedule if is_stored else schedule_of(call, expression, policies)
    # A due time at that very moment is one of those that are asked for.
    after_ms = moment_of(call, start, schedule) - 1 if start else None
    if is_stored:
        found = timed.preview_stored(expression, after_ms=after_ms, count=count)
    else:
        found = timed.preview(schedule, after_ms=after_ms, count=count)
    shape = preview_shape(found)
    if call.wants_json:
        call.print_json(shape)
        return
    rows = [(one["Utc"], one["Local"], one.get("Skipped", "")) for one in shape["DueTimes"]]
    print_table(call, ("UTC", shape["TimeZone"], ""), rows)
    if found.note:
        call.say(found.note)
    elif not rows:
        call.say(f"it is never due {'from then on' if start else 'any more'}")


@assist_command(
    "history", examples=("assist invocation history t-…", "assist invocation history t-… --limit 10 --output json")
)
@click.argument("invoke_id", metavar="ID")
@takes_page
def history(call: Call, *, invoke_id: str, page: PageRequest) -> None:
    """Show what became of each due time of a timed invocation, latest first: fired, or left out and why."""
    found = call.assistant.timed.history(invoke_id, page)
    if call.wants_json:
        shapes = [firing_shape(view) for view in found.items]
        call.print_json({"InvokeId": invoke_id, "TotalCount": found.total_count, "Firings": shapes})
        return
    if not found.total_count:
        call.say(_nothing_yet(call, invoke_id))
        return
    if found.items:
        headers = ("DUE (UTC)", "DECIDED", "OUTCOME")
        print_table(call, headers, [_firing(view) for view in found.items])
    note_on_page(call, found, page, "due time")


def _nothing_yet(call: Call, invoke_id: str) -> str:
    """Why there is no row of a timed invocation: what is said of a filter would be no answer here."""
    timed = call.assistant.timed.show(invoke_id).timed
    if timed.fired_count or timed.skipped_count:
        return "all of its due times are older than the history that is kept"
    if timed.is_boot_bound and timed.goes_on:
        return "no target has run it at a start of its machine yet"
    if timed.due is None:
        return f"nothing came of it before it was over: {timed.status}"
    return f"no due time has been decided about yet; the next one is {iso_seconds(timed.due.utc_ms)}"


def _policies(shape: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What only a schedule has."""
    return [
        ("Overlap", shape["OverlapPolicy"]),
        ("Misfire", shape["MisfirePolicy"] or "as beats are set"),
        ("Days", f"{shape['DayRule']} day field" if shape["DayRule"] == "either" else "both day fields"),
        ("Clock changes", f"gap {shape['DstGap']}, overlap {shape['DstOverlap']}"),
        ("Ends", shape["EndTime"]),
        ("At most", counted(shape["MaxCount"], "run") if shape["MaxCount"] else ""),
        ("At once", pacing_text(shape.get("AtOnce", 0), shape.get("StopAt", 0))),
        ("Jitter", f"up to {shape['JitterSeconds']:g} s" if shape["JitterSeconds"] else ""),
    ]


def _row(view: TimedView) -> tuple[str, ...]:
    timed = view.timed
    return (
        timed.invoke_id,
        timed.status.value,
        timed.schedule.frequency or timed.schedule.repeat_mode.value,
        timed.schedule.timezone,
        iso_seconds(timed.due.utc_ms) if timed.due else "",
        f"{timed.fired_count:,}",
        f"{timed.skipped_count:,}",
        f"{timed.target_count:,}",
        view.stored.record.command.name,
    )


def _firing(view: FiringView) -> tuple[str, ...]:
    firing = view.firing
    due = iso_seconds(firing.due_ms)
    if firing.count > 1:
        due = f"{due} … {iso_seconds(firing.until_ms)} ({firing.count:,} due times)"
    late_ms = firing.decided_ms - firing.until_ms
    decided = f"{late_ms / 1000:+.1f} s" if firing.decided_ms else ""
    parts = [f"left out: {firing.reason}"] if firing.reason else [by_state(view.counts) or firing.status.value]
    if firing.overlap and not firing.reason:
        parts.append(f"still running on {names_that_fit(firing.overlap, _NAMES_COLUMNS)}")
    if firing.left_out_count:
        parts.append(f"{counted(firing.left_out_count, 'target')} left out")
    if firing.info:
        parts.append(firing.info)
    return due, decided, "; ".join(parts)
