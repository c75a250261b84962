"""``assist timed pause``, ``resume``, ``stop`` and ``modify``."""

import os
from collections.abc import Mapping
from typing import Any

import click

from ....broker_config.errors import RecordUnreadable
from ...commands.secret_parameters import SecretValues
from ...timed.modifying import TimedModification
from ...timed.shapes import timed_shape
from ..assist_command import assist_command
from ..call import Call
from ..options.argument_types import Pair, filled, mapping
from ..options.given_bytes import read_given
from ..options.pacing_options import amount_options
from ..options.schedule_options import policy_options
from ..options.secret_values import refuse_second_use_of_stdin, takes_secret_values
from ..options.target_options import instance_option
from .invocation_state import stop_unreadable


@assist_command("pause", examples=("assist timed pause t-…",))
@click.argument("invoke_id", metavar="ID")
def pause(call: Call, *, invoke_id: str) -> None:
    """Leave out the due times of a timed invocation until it is resumed; its history has each of them."""
    call.assistant.timed.pause(invoke_id)
    _tell(call, invoke_id, f"paused; go on with: assist timed resume {invoke_id}")


@assist_command("resume", examples=("assist timed resume t-…",))
@click.argument("invoke_id", metavar="ID")
def resume(call: Call, *, invoke_id: str) -> None:
    """Resume a timed invocation, from its next due time on."""
    call.assistant.timed.resume(invoke_id)
    _tell(call, invoke_id, "resumed")


@assist_command("stop", examples=("assist timed stop t-…", "assist timed stop t-… --instance i-web1"))
@click.argument("invoke_id", metavar="ID")
@instance_option("Only on this instance; may be repeated.")
def stop(call: Call, *, invoke_id: str, instance_ids: tuple[str, ...]) -> None:
    """End a timed invocation for good, together with what is running. To go on later, use pause."""
    try:
        before = call.assistant.timed.show(invoke_id).timed
    except RecordUnreadable:
        stop_unreadable(call, invoke_id, instance_ids)
        return
    changed = call.assistant.stop_invocation(invoke_id, instance_ids)
    where = f" on {', '.join(instance_ids)}" if instance_ids else ""
    did_nothing = not changed and not before.goes_on
    _tell(call, invoke_id, f"was over before: {before.status}" if did_nothing else f"stopped{where}")


@assist_command(
    "modify",
    examples=(
        "assist timed modify t-… --frequency '0 0 4 * * *' --timezone Europe/Berlin",
        "assist timed modify t-… --script 'echo new' --overlap queue",
        "assist timed modify t-… --instance i-web2",
        "assist timed modify t-… --no-end-time --max-count 100",
        "assist timed modify t-… --secret-parameter TOKEN=@new-token.txt",
    ),
)
@click.argument("invoke_id", metavar="ID")
@click.option("--frequency", metavar="TEXT", callback=filled, help="A new frequency; a rate keeps its grid.")
@policy_options
@amount_options
@click.option("--no-at-once", is_flag=True, help="Run everywhere at once again.")
@click.option("--no-end-time", is_flag=True, help="Remove its end time.")
@click.option("--no-max-count", is_flag=True, help="Remove the limit on its runs.")
@click.option("--no-misfire", is_flag=True, help="Leave it to the beats again which missed due times to make up for.")
@click.option("--script", metavar="TEXT", help="A new script.")
@click.option("--file", "file", metavar="FILE", help="A new script, from a file; - is standard input.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    type=Pair(),
    callback=mapping,
    help="New values, which replace all of the old ones.",
)
@takes_secret_values
@click.option("--enable-parameter/--disable-parameter", default=None, help="Replace {{KEY}} in the script's text.")
@instance_option("An instance to add; may be repeated.")
def modify(
    call: Call,
    *,
    invoke_id: str,
    frequency: str,
    policies: dict[str, Any],
    at_once: str,
    stop_at: str,
    no_at_once: bool,
    no_end_time: bool,
    no_max_count: bool,
    no_misfire: bool,
    script: str | None,
    file: str | None,
    parameters: Mapping[str, str],
    secret_values: SecretValues,
    enable_parameter: bool | None,
    instance_ids: tuple[str, ...],
) -> None:
    """Change when a timed invocation runs, what, and where. It takes effect with the next due time.

    What is not given stays as it is; the defaults shown here are those of a new one.
    """
    _take_away(policies, no_end_time=no_end_time, no_max_count=no_max_count, no_misfire=no_misfire)
    if no_at_once:
        _refuse_with(at_once or stop_at, "--no-at-once", "--at-once and --stop-at")
        policies["pacing"] = None
    timezone, end_time = policies.pop("timezone", ""), policies.pop("end_time", "")
    refuse_second_use_of_stdin(script, file)
    change = TimedModification(
        content=_content(script, file),
        enable_parameter=enable_parameter,
        parameters=parameters or None,
        secret_parameters=secret_values,
        frequency=frequency,
        timezone=timezone,
        end_time=end_time,
        instance_ids=instance_ids,
        at_once=at_once,
        stop_at=stop_at,
        policies=policies,
    )
    if change == TimedModification():
        raise click.UsageError("nothing to change was given")
    command_id = call.assistant.timed.modify(invoke_id, change)
    _tell(call, invoke_id, f"changed; its command is {command_id}")


def _take_away(policies: dict[str, Any], *, no_end_time: bool, no_max_count: bool, no_misfire: bool) -> None:
    """Enter among the policies to change which of its own are to go."""
    for is_asked, option, given, field, nothing in (
        (no_end_time, "--end-time", "end_time", "end_ms", 0),
        (no_max_count, "--max-count", "max_count", "max_count", 0),
        (no_misfire, "--misfire", "misfire", "misfire", ""),
    ):
        if is_asked:
            _refuse_with(given in policies, f"--no{option[1:]}", option)
            policies[field] = nothing


def _refuse_with(is_given: object, removal: str, option: str) -> None:
    if is_given:
        raise click.UsageError(f"{removal} does not go with {option}; leave one of them out")


def _content(script: str | None, file: str | None) -> bytes | None:
    if script is not None and file is not None:
        raise click.UsageError("give --script or --file, not both")
    if file is None:
        return None if script is None else os.fsencode(script)
    return read_given(file)


def _tell(call: Call, invoke_id: str, text: str) -> None:
    """Show how it stands now to a program, and say it to a person."""
    if call.wants_json:
        call.print_json(timed_shape(call.assistant.timed.show(invoke_id)))
    else:
        call.say(f"{invoke_id} {text}")
