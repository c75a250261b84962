"""``assist invocation list`` and ``assist invocation show``."""

from collections.abc import Mapping

import click

from ....broker_config.clock import iso_seconds
from ....broker_config.results import ExecutionRow
from ....broker_config.states import InvocationState
from ...file_shapes import file_path
from ...invocations.describing import DescribedInvocation, InvocationFilter
from ...paging import PageRequest
from ..assist_command import assist_command
from ..call import Call
from ..options.argument_types import filled
from ..options.pacing_options import pacing_text
from ..options.request_options import script_type_option, tag_filter_option, takes_page
from ..printing.answers import invocation_summary_object
from ..printing.page_printing import print_page
from ..printing.result_text import ending, reason, span
from ..printing.tables import print_properties, print_table
from ..printing.text_cells import by_state, duration, tags_text
from .invocation_state import one_invocation

_STATES = [state.value for state in InvocationState]


@assist_command(
    "list",
    examples=(
        "assist invocation list",
        "assist invocation list --instance i-web1 --status Failed",
        "assist invocation list --command c-… --limit 10 --output json",
    ),
)
@click.option("--command", "command_id", callback=filled, metavar="ID", help="Only those of this command.")
@click.option("--instance", "instance_id", callback=filled, metavar="ID", help="Only those on this instance.")
@click.option(
    "--status", type=click.Choice(_STATES), metavar="STATE", help=f"Only those in this state: {', '.join(_STATES)}."
)
@click.option(
    "--name", callback=filled, metavar="TEXT", help="Only those of commands with this name; * matches anything."
)
@script_type_option(help="Only those of commands of this type.")
@click.option("--timed/--not-timed", default=None, help="Only those that will, or will not, run again on their own.")
@tag_filter_option()
@takes_page
def list_invocations(
    call: Call,
    *,
    command_id: str,
    instance_id: str,
    status: str | None,
    name: str,
    script_type: str | None,
    timed: bool | None,
    tags: Mapping[str, str | None],
    page: PageRequest,
) -> None:
    """List invocations, newest first."""
    wanted = InvocationFilter(
        command_id=command_id,
        instance_id=instance_id,
        status=status or "",
        command_name=name,
        command_type=script_type or "",
        timed=timed,
        tags=tags,
    )
    found = call.assistant.describe_invocations(wanted, page)
    headers = ("INVOCATION", "CREATED", "STATE", "TARGETS", "NAME")
    print_page(call, found, page, "invocation", shape=invocation_summary_object, headers=headers, row=_row)


@assist_command("show", examples=("assist invocation show t-…", "assist invocation show t-… --output json"))
@click.argument("invoke_id", metavar="ID")
def show(call: Call, *, invoke_id: str) -> None:
    """Show an invocation: what was asked for, and where each instance stands. For output see `invocation results`."""
    one = one_invocation(call, invoke_id)
    if call.wants_json:
        call.print_json(invocation_summary_object(one))
        return
    stored, record = one.stored, one.stored.record
    paced = record.pacing or record.schedule.pacing
    pairs = [
        ("Invocation", record.invoke_id),
        ("State", f"{one.status.state.value} ({by_state(one.status.counts)})"),
        ("Created", iso_seconds(record.created_ms)),
        ("Finished", iso_seconds(stored.finished_ms)),
        ("Stopped", iso_seconds(stored.stop_ms)),
        ("Command", f"{record.command.command_id} {record.command.name}"),
        ("Type", "" if record.file else record.command.type.value),
        ("Path", file_path(record)),
        ("Schedule", " ".join((record.schedule.frequency, record.schedule.timezone)).strip()),
        ("Timeout", duration(record.timeout_seconds * 1000)),
        # Of a timed one usually none is said: then the next due time ends it.
        (
            "Deliver",
            f"within {duration(record.deliver_within_seconds * 1000)}" if record.deliver_within_seconds else "",
        ),
        ("At once", pacing_text(paced.at_once_count, paced.failures_count) if paced else ""),
        ("Runs as", record.username),
        ("Runs in", record.working_directory),
        ("Launcher", record.launcher),
        ("Parameters", " ".join(f"{key}={value}" for key, value in record.parameters.items())),
        ("Tags", tags_text(record.tags)),
        ("Asked by", record.requested_by),
    ]
    print_properties(call, pairs)
    call.print()
    headers = ("INSTANCE", "STATE", "STARTED", "TOOK", "REASON")
    print_table(call, headers, [_target(row) for row in one.rows])


def _row(one: DescribedInvocation) -> tuple[str, ...]:
    record = one.stored.record
    state = one.status.state.value
    return record.invoke_id, iso_seconds(record.created_ms), state, f"{record.target_count:,}", record.command.name


def _target(row: ExecutionRow) -> tuple[str, ...]:
    return row.instance_id, ending(row), iso_seconds(row.outcome.started_ms), span(row), reason(row)
