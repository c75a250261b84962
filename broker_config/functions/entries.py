"""Typed calls that replace what was read, unless somebody else has changed it since."""

from .. import keys
from ..redis_client import Redis
from ..redis_connection import Command
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


def replace_credentials_command(instance_id: str, seen: bytes, new: bytes, *, signs_with: str = "") -> Command:
    """The command that ``replace_credentials`` sends; its reply is 1, or 0 when they are not as they were read."""
    return fcall("ca_replace_credentials", [keys.CREDENTIALS, keys.KEY_IDS], [instance_id, seen, new, signs_with])
