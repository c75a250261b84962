"""What the verbs that renew rights in Redis have in common: whose, and what came of it."""

import click

from ....broker_config.programs.counted import counted
from ...security.rights_renewal import Renewed
from ..call import Call
from ..exit_codes import DONE, REFUSED


def named_or_all(names: tuple[str, ...], *, everything: bool) -> tuple[str, ...] | None:
    """Those that were named; ``None`` for all.

    Raises:
        UsageError: neither was given, or both.
    """
    if bool(names) == everything:
        raise click.UsageError("name some, or give --all")
    return None if everything else names


def show_renewed(call: Call, renewed: Renewed, noun: str, *, remedy: str = "") -> int:
    """Tell what came of it, with the remedy for what was left as it is; the exit code says whether anything was."""
    if call.wants_json:
        left = [{"Name": name, "Reason": reason} for name, reason in renewed.left.items()]
        call.print_json({"Renewed": list(renewed.changed), "Unchanged": list(renewed.unchanged), "Left": left})
    else:
        call.say(f"renewed {counted(len(renewed.changed), noun)}; unchanged: {len(renewed.unchanged):,}")
    for name, reason in renewed.left.items():
        call.say(f"left {name}: {reason}{remedy.format(name)}")
    if not renewed.is_saved:
        call.say(
            "note: Redis has no ACL file and forgets its users when it restarts; set `aclfile` in its configuration"
        )
    return REFUSED if renewed.left else DONE
