"""``assist access-key``: keys for people and scripts that talk to the gateway."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import msgspec

from ....broker_config.clock import iso_seconds
from ....broker_config.programs.printable import clean
from ...auditing import local_user
from ...security.access_keys import AccessKeys, StoredAccessKey
from ...security.roles import Role
from ...security.scopes import Scope
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..options.argument_types import Pair, filled, mapping
from ..printing.tables import print_table

_ROLES = [str(role) for role in Role]


def _keys(call: Call) -> AccessKeys:
    return AccessKeys(call.assistant.redis, call.assistant.trust.master, call.assistant.auditing)


def _scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The limits of a key, as options."""
    for option in (
        click.option(
            "--user-name", "user_names", multiple=True, metavar="NAME", help="Only run as this account; repeatable."
        ),
        click.option(
            "--command", "command_ids", multiple=True, metavar="ID", help="Only this stored command; repeatable."
        ),
        click.option(
            "--instance-tag",
            "instance_tags",
            type=Pair(),
            multiple=True,
            callback=mapping,
            help="Only instances with this tag; if repeated, they must have all of them.",
        ),
        click.option(
            "--action",
            "actions",
            multiple=True,
            metavar="ACTION",
            help="Only this action; * matches any letters; repeatable.",
        ),
    ):
        command = option(command)
    return command


def _scope(
    actions: Sequence[str], instance_tags: Mapping[str, str], command_ids: Sequence[str], user_names: Sequence[str]
) -> Scope:
    return Scope(actions=actions, instance_tags=instance_tags, command_ids=command_ids, user_names=user_names)


def _limits_of(stored: StoredAccessKey) -> str:
    return stored.scope.shown() if isinstance(stored.scope, Scope) else ""


def _scope_shape(stored: StoredAccessKey) -> dict[str, object]:
    """The limits of a key that has some, by names such as the API's: InstanceTags, UserNames …."""
    limits: dict[str, object] = msgspec.to_builtins(stored.scope) if isinstance(stored.scope, Scope) else {}
    return {name.title().replace("_", ""): value for name, value in limits.items()}


group = AssistGroup("access-key", help="Create and manage access keys for the gateway.")


@assist_command(
    "create",
    examples=(
        "assist access-key create --name deploy-script --role operator",
        "assist access-key create --name me --output json",
        "assist access-key create --name test-team --instance-tag env=test --user-name deploy --action '*Command'",
    ),
)
@click.option("--name", callback=filled, help="Who the key is for; the log shows it.  [default: your user name here]")
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="operator",
    show_default=True,
    help="A viewer reads, an operator also runs scripts and manages the library, an admin may do everything.",
)
@_scope_options
def create(call: Call, *, name: str, role: str, **limits: Any) -> None:
    """Create an access key. Its secret is shown only this once.

    Limits narrow what the role allows; a request must be within all of those given.
    """
    access_key_id, secret = _keys(call).create(name or local_user().name, role, _scope(**limits))
    if call.wants_json:
        call.print_json({"AccessKeyId": access_key_id, "AccessKeySecret": secret})
        return
    call.print(f"AccessKeyId      {access_key_id}")
    call.print(f"AccessKeySecret  {secret}")
    call.say("the secret is not shown again")


@assist_command(
    "update",
    examples=(
        "assist access-key update CA0123456789ABCDEFGH --role viewer",
        "assist access-key update CA0123456789ABCDEFGH --instance-tag env=test",
        "assist access-key update CA0123456789ABCDEFGH --no-limits",
    ),
)
@click.argument("access_key_id", metavar="ID")
@click.option("--name", help="Who the key is for.")
@click.option("--role", type=click.Choice(_ROLES), help="What it may do.")
@_scope_options
@click.option("--no-limits", is_flag=True, help="Remove all limits.")
def update(
    call: Call, *, access_key_id: str, name: str | None, role: str | None, no_limits: bool, **limits: Any
) -> None:
    """Change an access key's name, role or limits, from its next request on.

    Limits given here replace all that it had; without any, they stay.
    """
    scope = _scope(**limits)
    if no_limits and scope != Scope():
        raise click.UsageError("give limits, or --no-limits")
    if name is None and role is None and scope == Scope() and not no_limits:
        raise click.UsageError("nothing to change: give --name, --role, limits or --no-limits")
    changed = scope if no_limits or scope != Scope() else None
    stored = _keys(call).update(access_key_id, name=name, role=role, scope=changed)
    limited = _limits_of(stored)
    _done(
        call,
        access_key_id,
        f"is {stored.name}, {stored.role}, " + (f"limited to: {limited}" if limited else "not limited"),
    )


@assist_command("list", examples=("assist access-key list",))
def list_keys(call: Call) -> None:
    """List the access keys; secrets are not shown."""
    stored = _keys(call).list()
    for one in _keys(call).unreadable():
        call.say(clean(str(one)))
    if call.wants_json:
        call.print_json(
            [
                {
                    "AccessKeyId": one.access_key_id,
                    "Name": one.name,
                    "Role": one.role,
                    "Active": one.active,
                    "Scope": _scope_shape(one),
                    "CreationTime": iso_seconds(one.created_ms),
                }
                for one in stored
            ]
        )
        return
    rows = [
        (
            one.access_key_id,
            one.name,
            one.role,
            "yes" if one.active else "no",
            iso_seconds(one.created_ms),
            _limits_of(one),
        )
        for one in stored
    ]
    print_table(call, ("ACCESS KEY", "NAME", "ROLE", "ACTIVE", "CREATED", "LIMITED TO"), rows)


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
    call.tell({"AccessKeyId": access_key_id}, f"access key {access_key_id} {what}")


for _command in (create, update, list_keys, disable, enable, delete):
    group.add_command(_command)
