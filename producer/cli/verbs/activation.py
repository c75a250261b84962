"""``assist activation …``: codes that let machines register themselves."""

from collections.abc import Mapping, Sequence

import click

from ....broker_config.clock import iso_seconds
from ....broker_config.programs.counted import counted
from ....broker_config.programs.printable import clean
from ....broker_config.security.signing import MasterKeys
from ....broker_config.timed.timed_invocation import server_ms
from ...fleet import activations
from ...fleet.activations import ActivationFilter, StoredActivation
from ...paging import PageRequest
from ...shapes import Shape
from ...some_of import some_of
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..options.argument_types import Pair, filled, mapping
from ..options.request_options import LIMIT_COUNT, tag_filter_option
from ..printing.page_printing import say_unreadable
from ..printing.tables import print_properties, print_table
from ..printing.text_cells import tags_text

#: The state of one that is not what somebody with the master key has made.
_CHANGED = "changed"

group = AssistGroup("activation", help="Create and manage codes with which machines register.")


@assist_command(
    "create",
    examples=(
        "assist activation create",
        "assist activation create --uses 20 --hours 2 --name-prefix web --address-range 10.0.0.0/8 --tag env=prod",
    ),
)
@click.option("--uses", type=int, default=10, show_default=True, help="How many machines may register with it.")
@click.option(
    "--hours", type=int, default=None, help="How long it is valid: 4 unless set, at most limits.activation_hours_max."
)
@click.option(
    "--address-range",
    callback=filled,
    metavar="RANGE",
    help="Only for machines with these addresses, such as 10.0.0.0/8.",
)
@click.option(
    "--name-prefix", default="", metavar="TEXT", help="Prefix of the instances' names: web gives web-001, web-002 …."
)
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    type=Pair(),
    callback=mapping,
    help="A tag for it and for its instances; may be repeated.",
)
def create(
    call: Call,
    *,
    uses: int,
    hours: int | None,
    address_range: str,
    name_prefix: str,
    description: str,
    tags: Mapping[str, str],
) -> None:
    """Create an activation. Its code is shown only this once.

    Then, on each machine: assist-agent register --gateway URL --activation-id ID --activation-code CODE
    """
    hours_max = call.loaded.settings.limits.activation_hours_max
    master = call.assistant.trust.master
    facts = {"InstanceName": name_prefix, "InstanceCount": str(uses), "IpAddressRange": address_range}
    with call.assistant.auditing.change("CreateActivation", **facts) as change:
        activation_id, code = activations.create(
            call.assistant.redis,
            master,
            instance_name=name_prefix,
            instance_count=uses,
            hours=min(activations.HOURS_MAX, hours_max) if hours is None else hours,
            address_range=address_range,
            description=description,
            tags=tags,
            hours_max=hours_max,
        )
        change.what = activation_id
    stored = activations.load(call.assistant.redis, activation_id)
    if call.wants_json:
        call.print_json({**_shape(call, [stored])[0], "ActivationCode": code})
        return
    call.print(f"ActivationId    {activation_id}")
    call.print(f"ActivationCode  {code}")
    call.say(
        f"good for {counted(uses, 'machine')} until {iso_seconds(stored.activation.ends_ms)}; "
        "the code is not shown again. On each machine, with the URL of a gateway:"
    )
    call.say(f"  assist-agent register --gateway URL --activation-id {activation_id} --activation-code CODE")


@assist_command("list", examples=("assist activation list", "assist activation list --tag env=prod --output json"))
@click.option("--name-prefix", callback=filled, metavar="TEXT", help="Only those with this prefix; * matches anything.")
@tag_filter_option(help="Only those with this tag.")
@click.option(
    "--limit", type=click.IntRange(1, LIMIT_COUNT), default=50, show_default=True, help="How many to show at most."
)
def list_activations(call: Call, *, name_prefix: str, tags: Mapping[str, str | None], limit: int) -> None:
    """List activations, newest first."""
    wanted = ActivationFilter(instance_name=name_prefix, tags=tags)
    page = activations.describe(call.assistant.redis, wanted, PageRequest(max_results=limit, size_max=LIMIT_COUNT))
    say_unreadable(call, page)
    if call.wants_json:
        call.print_json(_shape(call, page.items))
        return
    if not page.items:
        if not page.unreadable:
            call.say("no activation matches" if name_prefix or tags else "no activation yet")
        return
    headers = ("ACTIVATION", "STATE", "USED", "ENDS", "FROM", "NAMES", "TAGS", "FOR")
    states = _states(call, page.items)
    print_table(call, headers, [_row(*pair) for pair in zip(page.items, states, strict=True)])


@assist_command("show", examples=("assist activation show 0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F",))
@click.argument("activation_id", metavar="ID")
def show(call: Call, *, activation_id: str) -> None:
    """Show an activation; its code cannot be shown, because only a digest of it is kept."""
    stored = activations.load(call.assistant.redis, activation_id)
    if call.wants_json:
        call.print_json(_shape(call, [stored])[0])
        return
    one = stored.activation
    pairs = [
        ("Activation", one.activation_id),
        ("State", _states(call, [stored])[0]),
        ("Used", f"{stored.registered_count} of {one.instance_count}"),
        ("Deregistered", str(stored.deregistered_count)),
        ("Made", iso_seconds(one.created_ms)),
        ("Ends", iso_seconds(one.ends_ms)),
        ("Only from", one.address_range),
        ("Names", f"{one.instance_name}-…" if one.instance_name else ""),
        ("Tags", tags_text(one.tags)),
        ("Description", clean(one.description)),
    ]
    print_properties(call, pairs)


@assist_command("disable", examples=("assist activation disable 0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F",))
@click.argument("activation_id", metavar="ID")
def disable(call: Call, *, activation_id: str) -> None:
    """Let no more machines register with it; those that did stay."""
    with call.assistant.auditing.change("DisableActivation", what=activation_id):
        stored = activations.disable(call.assistant.redis, activation_id)
    _done(call, stored, "is disabled")


@assist_command("delete", examples=("assist activation delete 0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F",))
@click.argument("activation_id", metavar="ID")
def delete(call: Call, *, activation_id: str) -> None:
    """Delete an activation with which no machine has registered."""
    with call.assistant.auditing.change("DeleteActivation", what=activation_id):
        stored = activations.delete(call.assistant.redis, activation_id)
    if stored is not None:
        _done(call, stored, "is deleted")
    else:
        call.tell({"ActivationId": activation_id}, f"activation {activation_id}, which could not be read, is deleted")


for _command in (create, list_activations, show, disable, delete):
    group.add_command(_command)


def _done(call: Call, stored: StoredActivation, what: str) -> None:
    if call.wants_json:
        call.print_json(_shape(call, [stored])[0])
    else:
        call.say(f"activation {stored.activation.activation_id} {what}")


def _states(call: Call, stored: Sequence[StoredActivation]) -> list[str]:
    """The state of each as the gateway judges it: by Redis' clock, and by the master key where it is here."""
    now_ms, master = server_ms(call.assistant.redis), call.assistant.trust.known_master
    states = [_state(one, now_ms, master) for one in stored]
    changed = [one.activation.activation_id for one, state in zip(stored, states, strict=True) if state == _CHANGED]
    if changed:
        call.say(
            f"not made with the master key, or changed in Redis since: {clean(some_of(changed))}; nobody can register "
            "with it. Delete it, or disable it"
        )
    return states


def _state(stored: StoredActivation, now_ms: int, master: MasterKeys | None) -> str:
    one = stored.activation
    if stored.disabled:
        return "disabled"
    if master is not None and not activations.is_trusted(one.activation_id, one, master):
        return _CHANGED
    if one.ends_ms <= now_ms:
        return "ended"
    return "used up" if stored.registered_count >= one.instance_count else "open"


def _row(stored: StoredActivation, state: str) -> tuple[str, ...]:
    one = stored.activation
    return (
        one.activation_id,
        state,
        f"{stored.registered_count} of {one.instance_count}",
        iso_seconds(one.ends_ms),
        one.address_range,
        one.instance_name,
        tags_text(one.tags),
        one.description,
    )


def _shape(call: Call, stored: Sequence[StoredActivation]) -> list[Shape]:
    """The API's own fields of each, and two that it does not have."""
    return [
        {**activations.shape_of(one), "State": state, "EndTime": iso_seconds(one.activation.ends_ms)}
        for one, state in zip(stored, _states(call, stored), strict=True)
    ]
