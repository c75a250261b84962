"""``assist invocation results``."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from ....broker_config.clock import iso_seconds
from ....broker_config.errors import RequestInvalid
from ....broker_config.programs.counted import counted
from ....broker_config.results import ExecutionRow
from ...invocations.describing import DescribedInvocation
from ...invocations.describing_results import ResultFilter
from ...paging import all_pages
from ..assist_command import AssistCommand, assist_command
from ..call import Call
from ..exit_codes import DONE
from ..options.argument_types import Duration
from ..options.request_options import LIMIT_COUNT
from ..options.target_options import instance_option
from ..printing.answers import invocation_object
from ..printing.output_printer import OutputPrinter
from ..printing.result_comparison import compared
from ..printing.result_text import ending, grouped, one_line, reason, span
from ..printing.tables import print_table
from ..printing.text_cells import by_state
from ..watching import exit_code_of, wait_for_end
from .invocation_state import one_invocation, rows_of

#: What --wait means without a number: as long as it takes.
_LONGEST_SECONDS = 10**9


class _ResultsCommand(AssistCommand):
    """Lets --wait stand alone, also right before the id."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare --wait its value."""
        return super().parse_args(ctx, _with_value(args))


@assist_command(
    "results",
    cls=_ResultsCommand,
    examples=(
        "assist invocation results t-…",
        "assist invocation results t-… --wait 5m --output json",
        "assist invocation results t-… --instance i-web1",
        "assist invocation results t-… --diff",
        "assist invocation results t-… --history",
    ),
)
@click.argument("invoke_id", metavar="ID")
@instance_option("Only the result of this instance; may be repeated.")
@click.option("--history", is_flag=True, help="The results of every firing of a timed invocation, newest first.")
@click.option("--diff", is_flag=True, help="Show what differs from the output that most of them have.")
@click.option("--wait", "wait", type=Duration(), metavar="[SECONDS]", help="Wait for the end first, at most this long.")
def results(
    call: Call, *, invoke_id: str, instance_ids: tuple[str, ...], history: bool, diff: bool, wait: float | None
) -> int:
    """Show the results of an invocation.

    A single result is shown as its output alone; of several, equal ones are shown together. With --wait the exit code
    is that of `assist run`; otherwise it is 0, whatever the results.
    """
    if diff and (history or call.wants_json):
        other = "--history" if history else "--output json"
        raise RequestInvalid(f"--diff compares one run, as text: leave out {other}, or --diff", code="InvalidUsage")
    one = one_invocation(call, invoke_id)
    rows = rows_of(one, instance_ids)
    if wait is not None:
        wait_for_end(call, invoke_id, len(one.rows), wait, only=instance_ids)
        one = one_invocation(call, invoke_id)
        rows = rows_of(one, instance_ids)
    if history:
        _show_history(call, one, _history(call, invoke_id, instance_ids))
        return DONE
    if call.wants_json:
        call.print_json(invocation_object(invoke_id, one.stored.record.command.command_id, one.status.state, rows))
    elif len(rows) == 1:
        OutputPrinter(call).rest(rows[0].outcome.output)
        call.say(one_line(rows[0]))
    else:
        for line in compared(rows) if diff else grouped(rows):
            call.print(line)
        call.say(f"{invoke_id} {counted(sum(one.status.counts.values()), 'instance')}: {by_state(one.status.counts)}")
    return DONE if wait is None else exit_code_of(rows)


def _with_value(arguments: Sequence[str]) -> list[str]:
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--wait":
            value = rest.pop(0) if rest and _is_duration(rest[0]) else str(_LONGEST_SECONDS)
            word = f"--wait={value}"
        joined.append(word)
    return joined


def _is_duration(word: str) -> bool:
    return word[:1].isdigit()


def _history(call: Call, invoke_id: str, instance_ids: Sequence[str]) -> list[ExecutionRow]:
    rows: list[ExecutionRow] = []
    for instance_id in instance_ids or ("",):
        wanted = ResultFilter(invoke_id=invoke_id, instance_id=instance_id, include_history=True)
        found = all_pages(partial(call.assistant.describe_invocation_results, wanted), LIMIT_COUNT)
        rows += [one.row for one in found]
    return rows


def _show_history(call: Call, one: DescribedInvocation, rows: Sequence[ExecutionRow]) -> None:
    record = one.stored.record
    if call.wants_json:
        shape: Any = invocation_object(record.invoke_id, record.command.command_id, one.status.state, rows)
        for result, row in zip(shape["InvocationResults"], rows, strict=True):
            result["DueTime"] = iso_seconds(row.firing_ms)
        call.print_json(shape)
        return
    lines = [
        (iso_seconds(row.firing_ms or row.created_ms), row.instance_id, ending(row), span(row), reason(row))
        for row in rows
    ]
    print_table(call, ("DUE", "INSTANCE", "STATE", "TOOK", "REASON"), lines)
