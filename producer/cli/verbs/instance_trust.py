"""The verbs of ``assist instance`` that are about its identity: credentials, quarantine."""

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import click

from ....broker_config.errors import CloudAssistantError
from ....broker_config.programs.printable import clean
from ...security.credentials import is_of_this_machine, require_writable
from ..assist_command import assist_command
from ..call import Call
from .renewed_rights import named_or_all, show_renewed


def credentials_option(*, required: bool) -> Callable[[Any], Any]:
    """The option that names the file for credentials."""
    return click.option(
        "--credentials",
        required=required,
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the credentials for its agent into this file (only you may read it).",
    )


def write_first_credentials(call: Call, instance_id: str, file: Path) -> None:
    """Give an instance that was just registered its credentials, or register it not at all."""
    try:
        _write_credentials(call, instance_id, file)
    except CloudAssistantError:
        call.assistant.remove_instance(instance_id)
        raise


@assist_command("rotate", examples=("assist instance rotate i-web1 --credentials i-web1.toml",))
@click.argument("instance_id", metavar="ID")
@credentials_option(required=True)
def rotate(call: Call, *, instance_id: str, credentials: Path) -> None:
    """Give an instance new credentials. The old ones stop working at once, and its agent is cut off.

    Running scripts go on; their results arrive once the agent runs with the new file.
    """
    _write_credentials(call, instance_id, credentials)
    if call.wants_json:
        call.print_json({"InstanceId": instance_id, "Credentials": clean(str(credentials))})


@assist_command(
    "renew-rights", examples=("assist instance renew-rights --all", "assist instance renew-rights i-web1 i-web2")
)
@click.argument("instance_ids", metavar="[ID]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every instance that has credentials.")
def renew_rights(call: Call, *, instance_ids: tuple[str, ...], everything: bool) -> int:
    """Let agents do in Redis what this release lets them, no more and no less, after an upgrade.

    Credentials stay, so nothing has to be carried to a machine; agents go on working meanwhile.
    """
    chosen = named_or_all(instance_ids, everything=everything)
    remedy = "; give it new ones: assist instance rotate {} --credentials FILE"
    return show_renewed(call, call.assistant.trust.renew_rights(chosen), "instance", remedy=remedy)


@assist_command("quarantine", examples=("assist instance quarantine i-web1 --reason 'found on two machines'",))
@click.argument("instance_id", metavar="ID")
@click.option("--reason", default="by an operator", show_default=True, help="Shown with the instance.")
def quarantine(call: Call, *, instance_id: str, reason: str) -> None:
    """Give an instance no more work until it is released; everything else stays as it is."""
    call.assistant.trust.quarantine(instance_id, reason)
    call.tell({"InstanceId": instance_id}, f"{instance_id} gets no work until: assist instance release {instance_id}")


@assist_command("release", examples=("assist instance release i-web1",))
@click.argument("instance_id", metavar="ID")
def release(call: Call, *, instance_id: str) -> None:
    """Give an instance in quarantine work again."""
    was_held = call.assistant.trust.release(instance_id)
    call.tell(
        {"InstanceId": instance_id}, f"{instance_id} {'gets work again' if was_held else 'was not in quarantine'}"
    )


def _write_credentials(call: Call, instance_id: str, file: Path) -> None:
    # The old ones end when new ones are issued: with no place for these, the agent would be cut off for good.
    require_writable(file)
    issued = call.assistant.trust.issue_credentials(instance_id)
    issued.credentials.write(file)
    call.say(f"wrote {clean(str(file))}; on the machine, run: assist-agent run --config {quote(clean(file.name))}")
    if is_of_this_machine(issued.credentials.redis_url):
        call.say(
            "note: the Redis address in it is one of this machine only; "
            "set security.agent_redis_url to the one that agents reach"
        )
    if not issued.is_saved:
        call.say(
            "note: Redis has no ACL file and forgets this instance's user when it restarts; "
            "set `aclfile` in its configuration, or run `assist instance rotate` afterwards"
        )
