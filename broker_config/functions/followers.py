"""Typed call that changes who waits for whom in an invocation that does not run everywhere at once."""

from collections.abc import Mapping

from .. import keys
from ..ids import execution_id
from ..pacing import Neighbours
from ..redis.connection import Command
from .function_library import fcall


def follow_another_command(
    invoke_id: str, firing_ms: int, instance_id: str, *, before: str, ended: str, neighbours: Mapping[str, Neighbours]
) -> Command:
    """Build the move of a target that waits from behind one instance to behind another, where the execution has ended.

    ``neighbours`` are those of the beginning. Answers 1, or 0 when it waits no longer or its place is taken.
    """
    own, other = (execution_id(invoke_id, firing_ms, one) for one in (instance_id, ended))
    touched = [followers_key(invoke_id, firing_ms), keys.execution(instance_id, own), keys.TIMED_WAITING]
    first_followers = (neighbours[one].after for one in (before, ended))
    return fcall("ca_follow_another", touched, [own, instance_id, before, ended, other, *first_followers])


def followers_key(invoke_id: str, firing_ms: int) -> str:
    """Where it stands who waits for whom: in an invocation that runs once (``firing_ms`` 0), or in a firing."""
    return keys.firing_followers(invoke_id, firing_ms) if firing_ms else keys.invocation_followers(invoke_id)
