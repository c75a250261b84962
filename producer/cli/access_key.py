"""``assist access-key``: keys for people and scripts that talk to the gateway."""

import getpass

import click

from ...broker_config.clock import iso_seconds
from ..security.access_keys import AccessKeys
from .assist_command import AssistGroup, assist_command
from .call import Call
from .tables import table
from .terminal import terminal_columns


def _keys(call: Call) -> AccessKeys:
    return AccessKeys(call.assistant.redis, call.assistant.trust.master)


group = AssistGroup("access-key", help="Make and manage access keys for the gateway.")


@assist_command(
    "create",
    examples=(
        "assist access-key create --name deploy-script --role operator",
        "assist access-key create --name me --output json",
    ),
)
@click.option("--name", default="", help="Whom the key is for; the log shows it.  [default: who you are here]")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    default="operator",
    show_default=True,
    help="viewer reads, operator also runs and keeps the library, admin may do everything.",
)
def create(call: Call, *, name: str, role: str) -> None:
    """Make an access key. Its secret is shown this once."""
    access_key_id, secret = _keys(call).create(name or getpass.getuser(), role)
    if call.wants_json:
        call.print_json({"AccessKeyId": access_key_id, "AccessKeySecret": secret})
        return
    call.print(f"AccessKeyId      {access_key_id}")
    call.print(f"AccessKeySecret  {secret}")
    call.say("the secret is not shown again")


@assist_command("list", examples=("assist access-key list",))
def show(call: Call) -> None:
    """List the access keys; secrets are not shown."""
    stored = _keys(call).list()
    if call.wants_json:
        call.print_json(
            [
                {
                    "AccessKeyId": one.access_key_id,
                    "Name": one.name,
                    "Role": one.role,
                    "Active": one.active,
                    "CreationTime": iso_seconds(one.created_ms),
                }
                for one in stored
            ]
        )
        return
    rows = [
        (one.access_key_id, one.name, one.role, "yes" if one.active else "no", iso_seconds(one.created_ms))
        for one in stored
    ]
    for line in table(("ACCESS KEY", "NAME", "ROLE", "ACTIVE", "CREATED"), rows, terminal_columns()):
        call.print(line)


@assist_command("disable", examples=("assist access-key disable CA0123456789ABCDEFGH",))
@click.argument("access_key_id", metavar="ID")
def disable(call: Call, *, access_key_id: str) -> None:
    """Refuse an access key from its next request on."""
    _keys(call).set_active(access_key_id, active=False)
    _done(call, access_key_id, "is refused from now on")


@assist_command("enable", examples=("assist access-key enable CA0123456789ABCDEFGH",))
@click.argument("access_key_id", metavar="ID")
def enable(call: Call, *, access_key_id: str) -> None:
    """Accept a disabled access key again."""
    _keys(call).set_active(access_key_id, active=True)
    _done(call, access_key_id, "is accepted again")


@assist_command("delete", examples=("assist access-key delete CA0123456789ABCDEFGH",))
@click.argument("access_key_id", metavar="ID")
def delete(call: Call, *, access_key_id: str) -> None:
    """Delete an access key."""
    _keys(call).delete(access_key_id)
    _done(call, access_key_id, "is deleted")


def _done(call: Call, access_key_id: str, what: str) -> None:
    if call.wants_json:
        call.print_json({"AccessKeyId": access_key_id})
    else:
        call.say(f"access key {access_key_id} {what}")


for one in (create, show, disable, enable, delete):
    group.add_command(one)
