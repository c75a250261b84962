"""Seal stored commands with the master key, so that a producer signs for agents only what a producer has stored.

Without this, whoever can write to Redis could put another script into the library and wait for somebody to invoke it.
Tags are left out: they say nothing about what runs, and change without the key.
"""

import msgspec

from ...broker_config.errors import Refused
from ...broker_config.records import Command
from ...broker_config.security.signing import MasterKeys

_PURPOSE = "command"


def sealed(command: Command, master: MasterKeys | None) -> Command:
    """Seal a command as it is now; without a master key it stays unsealed."""
    if master is None:
        return msgspec.structs.replace(command, seal="")
    return msgspec.structs.replace(command, seal=master.seal(_PURPOSE, _covered(command)))


def check_seal(command_id: str, command: Command, master: MasterKeys | None) -> None:
    """Check that what was found under an id is what a producer of this installation stored there.

    Without a master key nothing can be told.

    Raises:
        Refused: it was changed since, or stored by a program that had no master key (``CommandNotTrusted``).
    """
    if master is None:
        return
    # A good seal of another command does not help: its record may have been put in this one's place.
    if command.command_id == command_id and master.is_sealed(_PURPOSE, _covered(command), command.seal):
        return
    how = "was changed in Redis since it was stored" if command.seal else "was stored without the master key"
    raise Refused(
        f"command {command_id} {how}, so it is not signed for any instance; look at it with "
        f"`assist command show {command_id}` and store it anew",
        code="CommandNotTrusted",
    )


def _covered(command: Command) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(command, seal="", tags={}))
