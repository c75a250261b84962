"""Typed calls that replace what was read, unless somebody else has changed it since."""

from collections.abc import Sequence

from .. import keys
from ..redis.client import Redis
from ..redis.connection import Argument, Command
from .function_library import fcall, run


def replace_entry(redis: Redis, key: str, field: str, seen: bytes, new: bytes) -> bool:
    """Replace one entry of a hash; false when it is not as it was read any more."""
    return bool(run(redis, replace_entry_command(key, field, seen, new)))


def replace_entry_command(key: str, field: str | bytes, seen: bytes, new: bytes) -> Command:
    """The command that ``replace_entry`` sends; its reply is 1, or 0 when the entry is not as it was read."""
    return fcall("ca_replace_entry", [key], [field, seen, new])


def replace_credentials(redis: Redis, instance_id: str, seen: bytes, new: bytes, *, signs_with: str = "") -> bool:
    """Replace what is kept of an instance's credentials, and the key it is signed for with where one is named.

    False when they were issued anew, or revoked, since they were read: nothing is changed then.
    """
    return bool(run(redis, replace_credentials_command(instance_id, seen, new, signs_with=signs_with)))


def replace_credentials_command(
    instance_id: str, seen: bytes, new: bytes, *, signs_with: str = "", bundle: bytes = b""
) -> Command:
    """The command that ``replace_credentials`` sends; its reply is 1, or 0 when they are not as they were read.

    With a ``bundle`` the instance is sent that in the same step: it is never sent a key that nobody knows of.
    """
    named = [keys.CREDENTIALS, keys.KEY_IDS]
    if not bundle:
        return fcall("ca_replace_credentials", named, [instance_id, seen, new, signs_with])
    return fcall(
        "ca_replace_credentials", [*named, keys.key_bundle(instance_id)], [instance_id, seen, new, signs_with, bundle]
    )


def replace_rollout(redis: Redis, rollout_id: str, seen: Sequence[Argument], new: Sequence[Argument]) -> bool:
    """Replace a roll-out's entry, why it stopped, and when it finished; false when they are not as they were read."""
    touched = [keys.ROLLOUTS, keys.rollout(rollout_id)]
    return bool(run(redis, fcall("ca_replace_rollout", touched, [rollout_id, *seen, *new])))
