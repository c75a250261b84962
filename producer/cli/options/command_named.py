"""A stored command as a person names it: by its id, or by its name where that is unmistakable."""

from ....broker_config.errors import NotFound, Refused
from ...commands.command_library import CommandFilter
from ...paging import PageRequest
from ..call import Call

#: Commands of one name that a refusal lists.
_SHOWN_COUNT = 5


def command_id_of(call: Call, given: str) -> str:
    """Answer the id of the command with this id or this exact name.

    Names need not be unique: raises Refused with the ids when several commands have it, NotFound when none has.
    """
    if given.startswith("c-"):
        return given
    page = call.assistant.describe_commands(CommandFilter(name=given), PageRequest(size=_SHOWN_COUNT))
    ids = [stored.command.command_id for stored in page.items if stored.command.name == given]
    if not ids:
        raise NotFound(
            f"no command has the id or the name {given}; `assist command list` shows them", code="InvalidCmdId.NotFound"
        )
    if len(ids) > 1:
        raise Refused(
            f"several commands are named {given}: give the id, {' or '.join(ids)}", code="InvalidCmdId.Ambiguous"
        )
    return ids[0]
