"""``assist program``: the programs of the control side, as Redis knows them."""

import click

from ...security.program_rights import ControlProgram
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from .renewed_rights import named_or_all, show_renewed

group = AssistGroup("program", help="Renew what beat, gateway, assist and Flower may do in Redis.")


@assist_command(
    "renew-rights", examples=("assist program renew-rights --all", "assist program renew-rights beat flower")
)
@click.argument(
    "names",
    metavar="[NAME]…",
    nargs=-1,
    type=click.Choice([str(one) for one in ControlProgram]),
)
@click.option("--all", "everything", is_flag=True, help="Each that has a user of its own.")
def renew_rights(call: Call, *, names: tuple[str, ...], everything: bool) -> int:
    """Let programs of the control side do in Redis what this release lets them, no more and no less, after an upgrade.

    Their passwords stay, and they go on working meanwhile. The producer is assist itself, and your own programs.
    """
    chosen = named_or_all(names, everything=everything)
    programs = None if chosen is None else [ControlProgram(one) for one in chosen]
    return show_renewed(call, call.assistant.trust.renew_program_rights(programs), "program")


group.add_command(renew_rights)
