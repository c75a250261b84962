"""``assist file …``."""

from pathlib import Path

import click

from ....broker_config.clock import iso_seconds
from ...file_delivery import FileRequest
from ...file_shapes import file_path, file_shape
from ...file_status import file_status
from ...fleet.targets import Targets
from ...invocations.describing import DescribedInvocation, InvocationFilter
from ...invocations.invoking import RunOptions
from ...paging import PageRequest
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..dispatched import after_dispatch
from ..options.argument_types import Duration, filled
from ..options.given_bytes import read_given
from ..options.pacing_options import amount_options
from ..options.request_options import Waiting, takes_page, takes_waiting, whole_seconds
from ..options.target_options import takes_targets
from ..printing.page_printing import print_page

group = AssistGroup(
    "file",
    help="""Send small files to instances.

    `assist invocation show`, `follow`, `results` and `stop` take the id of a file, too.
    """,
)


@assist_command(
    "send",
    examples=(
        "assist file send nginx.conf --to /etc/nginx --instance i-web1 --overwrite",
        "assist file send app.env --to /srv/app --tag env=test --owner app --mode 0600",
        "date | assist file send - --name built-at --to /srv/app --all",
        "assist file send nginx.conf --to /etc/nginx --all --overwrite --at-once 10% --stop-at 3",
    ),
)
@click.argument("source", metavar="FILE")
@click.option(
    "--to", "target_directory", required=True, metavar="FOLDER", help="Target folder; created if it is missing."
)
@click.option("--name", callback=filled, metavar="NAME", help="Name of the file there.  [default: the file's own]")
@click.option("--owner", callback=filled, metavar="USER", help="Owner of the file.  [default: the agent's user]")
@click.option(
    "--group", "group_name", callback=filled, metavar="GROUP", help="Group of the file.  [default: the owner's]"
)
@click.option("--mode", default="0644", metavar="OCTAL", help="Permissions of the file.  [default: 0644]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is already there.")
@click.option("--description", default="", help="A note for whoever looks at it later.")
@click.option("--deliver-within", type=Duration(), help="How long to wait for the agent to take it.  [default: 60]")
@takes_targets
@amount_options
@takes_waiting(default=True)
def send(
    call: Call,
    *,
    source: str,
    target_directory: str,
    name: str,
    owner: str,
    group_name: str,
    mode: str,
    overwrite: bool,
    description: str,
    deliver_within: float | None,
    targets: Targets,
    at_once: str,
    stop_at: str,
    waiting: Waiting,
) -> int:
    """Send one small file, up to 24 KiB; - is standard input. It arrives whole or not at all."""
    if source == "-" and not name:
        raise click.UsageError("what comes from standard input needs a --name")
    request = FileRequest(
        name=name or Path(source).name,
        target_directory=target_directory,
        content=read_given(source),
        content_type="Base64",
        owner=owner,
        group=group_name,
        mode=mode,
        overwrite=overwrite,
        description=description,
        deliver_within_seconds=whole_seconds(deliver_within, "--deliver-within"),
        at_once=at_once,
        stop_at=stop_at,
    )
    invoked = call.assistant.send_file(request, targets)
    return after_dispatch(call, invoked, waiting, RunOptions(at_once=at_once, stop_at=stop_at))


@assist_command("list", examples=("assist file list", "assist file list --instance i-web1 --output json"))
@click.option("--instance", "instance_id", callback=filled, metavar="ID", help="Only those sent to this instance.")
@takes_page
def list_files(call: Call, *, instance_id: str, page: PageRequest) -> None:
    """List files that were sent, newest first."""
    wanted = InvocationFilter(instance_id=instance_id, files=True)
    found = call.assistant.describe_invocations(wanted, page, with_rows=call.wants_json)
    headers = ("FILE", "CREATED", "STATE", "TARGETS", "PATH")
    print_page(call, found, page, "file", shape=file_shape, headers=headers, row=_row)


def _row(one: DescribedInvocation) -> tuple[str, ...]:
    record = one.stored.record
    state = file_status(one.status.counts)
    return record.invoke_id, iso_seconds(record.created_ms), state, f"{record.target_count:,}", file_path(record)


group.add_command(send)
group.add_command(list_files)
