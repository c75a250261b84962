"""``assist command …``."""

from collections.abc import Mapping

import click

from ....broker_config.clock import iso_minutes
from ....broker_config.programs.counted import counted
from ...commands.command_library import CommandFilter, StoredCommand, unknown_command
from ...paging import PageRequest
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..options.argument_types import Duration, Pair, filled, mapping
from ..options.command_named import command_id_of
from ..options.request_options import (
    SCRIPT_TYPES,
    client_token_option,
    script_type_option,
    tag_filter_option,
    takes_page,
    whole_seconds,
)
from ..options.script_source import takes_script
from ..printing.answers import command_object
from ..printing.page_printing import print_page
from ..printing.result_text import text_lines
from ..printing.tables import print_properties
from ..printing.terminal import terminal_columns
from ..printing.text_cells import duration, tags_text
from .command_signing import sign

group = AssistGroup("command", help="Store, list, change and delete commands.")


@assist_command(
    "create",
    examples=(
        "assist command create 'echo 123' --name hello",
        "assist command create --base64 ZWNobyAxMjM= --name hello --output json",
        "assist command create --file check.sh --name check --timeout 10m --workdir /tmp",
        "assist command create 'echo \"hello $CA_PARAM_WHO\"' --name greet --parameter WHO",
    ),
    may_be_empty=("script",),
)
@takes_script
@click.option("--name", required=True, help="A name for people.")
@script_type_option(default="RunShellScript", help=f"{SCRIPT_TYPES}.  [default: RunShellScript]")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--timeout",
    type=Duration(),
    default=60,
    help="How long the script may run, at least 10 s; less counts as 10.",
    show_default=True,
)
@click.option("--workdir", callback=filled, metavar="FOLDER", help="Working directory of the script.")
@click.option("--user", callback=filled, metavar="NAME", help="User to run the script as.")
@click.option("--launcher", callback=filled, metavar="TEXT", help="Command line that starts the script.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="KEY",
    help="Declare a parameter, which the script finds in its environment variable CA_PARAM_<KEY>; may be repeated.",
)
@click.option(
    "--secret-parameter",
    "secret_parameters",
    multiple=True,
    metavar="KEY",
    help="Declare a parameter whose value is secret: encrypted to each instance, masked in output; may be repeated.",
)
@click.option("--enable-parameter", is_flag=True, help="Replace {{KEY}} in the text with the parameters of a run.")
@click.option("--tag", "tags", multiple=True, type=Pair(), callback=mapping, help="A tag; may be repeated.")
@client_token_option
def create(
    call: Call,
    *,
    content: bytes,
    name: str,
    script_type: str,
    description: str,
    timeout: float,
    workdir: str,
    user: str,
    launcher: str,
    parameters: tuple[str, ...],
    secret_parameters: tuple[str, ...],
    enable_parameter: bool,
    tags: Mapping[str, str],
    client_token: str,
) -> None:
    """Store a command and print its id."""
    command_id = call.assistant.create_command(
        name=name,
        type=script_type,
        content=content,
        description=description,
        working_directory=workdir,
        timeout_seconds=whole_seconds(timeout, "--timeout"),
        username=user,
        launcher=launcher,
        enable_parameter=enable_parameter,
        declared_parameters=parameters,
        secret_parameters=secret_parameters,
        tags=tags,
        client_token=client_token,
    )
    if call.wants_json:
        call.print_json({"CommandId": command_id})
    else:
        call.print(command_id)


@assist_command(
    "list",
    examples=(
        "assist command list",
        "assist command list --name 'hel*' --type RunShellScript --limit 10",
        "assist command list --output json",
    ),
)
@click.option("--name", callback=filled, metavar="TEXT", help="Only those with this name; * matches anything.")
@click.option(
    "--description", callback=filled, metavar="TEXT", help="Only those with this description; * matches anything."
)
@script_type_option(help="Only those of this type.")
@tag_filter_option()
@takes_page
def list_commands(
    call: Call,
    *,
    name: str,
    description: str,
    script_type: str | None,
    tags: Mapping[str, str | None],
    page: PageRequest,
) -> None:
    """List commands, newest first."""
    wanted = CommandFilter(name=name, description=description, type=script_type or "", tags=tags)
    found = call.assistant.describe_commands(wanted, page)
    headers = ("COMMAND", "CREATED", "TYPE", "INVOKED", "NAME")
    print_page(call, found, page, "command", shape=command_object, headers=headers, row=_row)


@assist_command("show", examples=("assist command show disk", "assist command show c-… --output json"))
@click.argument("command_id", metavar="ID_OR_NAME")
def show(call: Call, *, command_id: str) -> None:
    """Show a command with its text."""
    stored = _load(call, command_id_of(call, command_id))
    if call.wants_json:
        call.print_json(command_object(stored))
        return
    command = stored.command
    pairs = [
        ("Command", command.command_id),
        ("Name", command.name),
        ("Description", command.description),
        ("Type", command.type.value),
        ("Created", iso_minutes(command.created_ms)),
        ("Timeout", duration(command.timeout_seconds * 1000)),
        ("Runs as", command.username),
        ("Runs in", command.working_directory),
        ("Launcher", command.launcher),
        ("Parameters", ", ".join(command.parameter_names)),
        ("Secrets", ", ".join(command.secret_names)),
        ("Tags", tags_text(command.tags)),
        ("Invoked", counted(stored.invoke_count, "time")),
    ]
    print_properties(call, pairs)
    call.print()
    if terminal_columns() is None:
        call.print_bytes(command.content if command.content.endswith(b"\n") else command.content + b"\n")
        return
    # Whoever looks at a command before it runs must see all of it, whatever it would have a terminal do.
    for line in text_lines(command.content):
        call.print(line)


@assist_command("modify", examples=("assist command modify c-… --name greeting --timeout 2m",))
@click.argument("command_id", metavar="ID_OR_NAME")
@click.option("--name", help="A name for people.")
@click.option("--description", help="What it is for.")
@click.option("--timeout", type=Duration(), help="How long the script may run.")
@click.option("--workdir", "working_directory", metavar="FOLDER", help="Working directory of the script.")
@click.option("--user", "username", metavar="NAME", help="User to run the script as.")
@click.option("--launcher", metavar="TEXT", help="Command line that starts the script.")
def modify(call: Call, *, command_id: str, timeout: float | None, **texts: str | None) -> None:
    """Change a command; later invocations use the new values. An empty text clears a value.

    Its script and type never change: create another command, and delete this one.
    """
    changes: dict[str, str | int] = {name: text for name, text in texts.items() if text is not None}
    if timeout is not None:
        changes["timeout_seconds"] = whole_seconds(timeout, "--timeout")
    if not changes:
        raise click.UsageError("nothing to change: give at least one option")
    command_id = command_id_of(call, command_id)
    call.assistant.modify_command(command_id, **changes)
    if call.wants_json:
        call.print_json(command_object(_load(call, command_id)))
    else:
        call.say(f"changed {command_id}")


@assist_command("delete", examples=("assist command delete c-…",))
@click.argument("command_ids", metavar="ID_OR_NAME…", nargs=-1, required=True)
def delete(call: Call, *, command_ids: tuple[str, ...]) -> None:
    """Delete commands; refused while an invocation of one is unfinished. Past invocations keep their text."""
    # All names are looked up before anything is deleted: one that is wrong leaves everything as it was.
    command_ids = tuple(command_id_of(call, given) for given in command_ids)
    for command_id in command_ids:
        call.assistant.delete_command(command_id)
        if not call.wants_json:
            call.say(f"deleted {command_id}")
    if call.wants_json:
        call.print_json([{"CommandId": command_id} for command_id in command_ids])


for _command in (create, list_commands, show, modify, delete, sign):
    group.add_command(_command)


def _load(call: Call, command_id: str) -> StoredCommand:
    found = call.assistant.describe_commands(CommandFilter(command_id=command_id)).items
    if not found:
        raise unknown_command(command_id)
    return found[0]


def _row(stored: StoredCommand) -> tuple[str, ...]:
    command = stored.command
    created = iso_minutes(command.created_ms)
    return command.command_id, created, command.type.value, f"{stored.invoke_count:,}", command.name
