"""``assist instance …``."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from ....broker_config.programs.counted import counted
from ....broker_config.programs.printable import clean
from ...fleet.instances import InstanceFilter, StoredInstance, load
from ...paging import all_pages
from ...shapes import Shape, instance_shape
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..options.argument_types import Pair, filled, mapping
from ..options.request_options import LIMIT_COUNT, tag_filter_option
from ..printing.tables import print_properties, print_table
from ..printing.text_cells import tags_text
from .instance_trust import credentials_option, quarantine, release, renew_rights, rotate, write_first_credentials

group = AssistGroup("instance", help="List, name and tag instances.")


@assist_command(
    "list",
    examples=(
        "assist instance list",
        "assist instance list --tag env=test --connected",
        "assist instance list --output json",
    ),
)
@click.option("--name", callback=filled, metavar="TEXT", help="Only those with this name; * matches anything.")
@click.option(
    "--os-type", callback=filled, metavar="TEXT", help="Only those with this system: linux, windows, freebsd, darwin."
)
@click.option("--connected/--not-connected", default=None, help="Only those whose agent is, or is not, connected.")
@tag_filter_option()
def list_instances(
    call: Call, *, name: str, os_type: str, connected: bool | None, tags: Mapping[str, str | None]
) -> None:
    """List instances, newest first."""
    wanted = InstanceFilter(name=name, os_type=os_type, connected=connected, tags=tags)
    found = list(all_pages(partial(call.assistant.describe_instances, wanted), LIMIT_COUNT))
    for one in found:
        if one.unreadable:
            call.say(clean(one.unreadable))
    if call.wants_json:
        call.print_json([instance_shape(one) for one in found])
        return
    if not found:
        call.say("no instance matches" if name or os_type or tags or connected is not None else "no instance yet")
        return
    headers = ("INSTANCE", "NAME", "CONNECTED", "RUNNING", "SYSTEM", "AGENT", "TAGS")
    print_table(call, headers, [_row(one) for one in found])


@assist_command("show", examples=("assist instance show i-web1", "assist instance show i-web1 --output json"))
@click.argument("instance_id", metavar="ID")
def show(call: Call, *, instance_id: str) -> None:
    """Show everything known about an instance."""
    _print(call, load(call.assistant.redis, instance_id))


@assist_command(
    "add",
    examples=(
        "assist instance add i-web2 --credentials i-web2.toml",
        "assist instance add i-db1 --name 'first database' --tag env=prod --tag role=db",
    ),
)
@click.argument("instance_id", metavar="ID")
@click.option("--name", default="", help="A name for people.")
@click.option("--tag", "tags", multiple=True, type=Pair(), callback=mapping, help="A tag; may be repeated.")
@credentials_option(required=False)
def add(call: Call, *, instance_id: str, name: str, tags: Mapping[str, str], credentials: Path | None) -> None:
    """Register an instance under an id you choose: i- and letters, digits, '.', '_' or '-'.

    With --credentials, copy the file to that machine and run: assist-agent run --config FILE
    """
    if credentials is not None:
        # First of all: what was entered in the audit before there was a key would have no seal.
        call.assistant.trust.master  # noqa: B018
    call.assistant.add_instance(instance_id, name=name, tags=tags)
    if credentials is not None:
        write_first_credentials(call, instance_id, credentials)
    if call.wants_json:
        call.print_json(instance_shape(load(call.assistant.redis, instance_id)))
    else:
        call.say(f"registered {instance_id}")


@assist_command("tag", examples=("assist instance tag i-web1 env=prod role=web",))
@click.argument("instance_id", metavar="ID")
@click.argument("tags", metavar="KEY=VALUE…", nargs=-1, required=True, type=Pair(), callback=mapping)
def tag(call: Call, *, instance_id: str, tags: Mapping[str, str]) -> None:
    """Put tags on an instance; a tag that is there already gets the new value."""
    before = load(call.assistant.redis, instance_id)
    _changed(call, call.assistant.modify_instance(instance_id, tags={**before.tags, **tags}))


@assist_command("untag", examples=("assist instance untag i-web1 role",))
@click.argument("instance_id", metavar="ID")
@click.argument("names", metavar="KEY…", nargs=-1, required=True)
def untag(call: Call, *, instance_id: str, names: tuple[str, ...]) -> None:
    """Take tags off an instance; one that is not there is no error."""
    before = load(call.assistant.redis, instance_id)
    kept = {key: value for key, value in before.tags.items() if key not in names}
    _changed(call, call.assistant.modify_instance(instance_id, tags=kept))


@assist_command("rename", examples=("assist instance rename i-web1 'web server one'",), may_be_empty=("name",))
@click.argument("instance_id", metavar="ID")
@click.argument("name")
def rename(call: Call, *, instance_id: str, name: str) -> None:
    """Give an instance another name; its id stays."""
    _changed(call, call.assistant.modify_instance(instance_id, name=name))


@assist_command("remove", examples=("assist instance remove i-old",))
@click.argument("instance_id", metavar="ID")
def remove(call: Call, *, instance_id: str) -> None:
    """Remove an instance: its credentials stop working and its connections are cut at once, and what it was running is
    given up.

    Its past results stay until they are too old to be kept.
    """
    removed = call.assistant.remove_instance(instance_id)
    call.tell(instance_shape(removed), f"removed {instance_id}")


for _command in (list_instances, show, add, tag, untag, rename, rotate, renew_rights, quarantine, release, remove):
    group.add_command(_command)


def _changed(call: Call, stored: StoredInstance) -> None:
    tags = clean(tags_text(stored.tags)) or "no tags"
    call.tell(instance_shape(stored), f"{stored.instance_id} is {clean(stored.name) or 'without a name'}, {tags}")


def _row(stored: StoredInstance) -> tuple[str, ...]:
    report = stored.report
    busy = f"{report.get('running_count') or 0} of {report.get('slots') or 0}" if stored.connected else ""
    return (
        stored.instance_id,
        stored.name,
        "quarantined" if stored.quarantined else "yes" if stored.connected else "no",
        busy,
        report.get("os_name", "") or report.get("os_type", ""),
        report.get("agent_version", ""),
        tags_text(stored.tags),
    )


def _print(call: Call, stored: StoredInstance) -> None:
    shape = instance_shape(stored)
    if call.wants_json:
        call.print_json(shape)
        return
    pairs = [
        ("Instance", stored.instance_id),
        ("Name", stored.name),
        ("Tags", tags_text(stored.tags)),
        ("Connected", "yes" if stored.connected else "no"),
        ("Quarantined", stored.quarantined),
        ("System", f"{shape['OSName']} {shape['OSType']}".strip()),
        ("Hostname", shape["Hostname"]),
        ("Agent", shape["AgentVersion"]),
        ("Upgrade", _upgrade_text(shape)),
        ("Runs as", shape["User"]),
        ("Scripts", f"{shape['Running']} running, {shape['Waiting']} waiting, {counted(shape['Slots'], 'slot')}"),
        ("Address", ", ".join(shape["IpAddresses"]) or shape["IpAddress"]),
        ("Kernel", f"{shape['Kernel']} {shape['Architecture']}".strip()),
        ("Disk", f"{shape['DiskFreeBytes'] / 1e6:.0f} MB free" if stored.connected else ""),
        (
            "Agent uses",
            f"{shape['AgentMemoryBytes'] / 1e6:.0f} MB, {shape['AgentCpuPercent']} % of a processor"
            if stored.connected
            else "",
        ),
        ("Clock", f"{shape['ClockOffsetMs']} ms off" if stored.connected else ""),
        ("Heartbeat", shape["LastHeartbeatTime"]),
        ("Registered", shape["RegistrationTime"]),
        ("Invocations", f"{shape['InvocationCount']:,}"),
        ("Last invoked", shape["LastInvokedTime"]),
    ]
    print_properties(call, pairs)


def _upgrade_text(shape: Shape) -> str:
    """The last upgrade of its agent: where it stands, and why there."""
    if not shape["UpgradeStage"]:
        return ""
    reason = f" ({shape['UpgradeReason']})" if shape["UpgradeReason"] else ""
    return f"{shape['UpgradeVersion']}: {shape['UpgradeStage']}{reason}"
