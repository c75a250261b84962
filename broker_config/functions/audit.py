"""Typed call for the audit: enter something at the end of its chain."""

from collections.abc import Sequence

from .. import keys
from ..redis.connection import Argument, Command
from .function_library import fcall


def append_audit_command(entries: Sequence[Argument], taken_over: Sequence[tuple[str, str, str]] = ()) -> Command:
    """Build the entering of entries, given as ``shared_audit.lua`` says.

    ``taken_over`` are agents' refusals among them: per agent its instance id, the last one taken over before, and now.
    """
    guards = [part for one in taken_over for part in one]
    return fcall("ca_append_audit", [keys.AUDIT, keys.AUDIT_HEAD, keys.AUDIT_FOLDED], [*entries, *guards])
