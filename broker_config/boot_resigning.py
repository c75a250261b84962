"""Sign anew what waits for the start of a machine when its instance gets another key.

An order waits for a boot for months, and keys are changed meanwhile. What the old key signed, and nothing else, is
signed with the new one: nobody who can only write to Redis gets a signature this way. It is for a key that follows from
the old one, as in a rotation, and not for new credentials after a theft: whoever has stolen a key can sign with it.
"""

import msgspec

from . import keys
from .boot_bound import BootEntry
from .functions.entries import replace_entry_command
from .functions.function_library import run_all
from .redis_client import Redis
from .redis_connection import Command
from .signing import MasterKeys, parse_signature, verify
from .untrusted_input import UntrustedDecoder

_decoder = UntrustedDecoder(msgspec.json.Decoder(BootEntry))


def resign(redis: Redis, instance_id: str, master: MasterKeys, key_id: str) -> int:
    """Sign with this key what waits for the next start of an instance's machine; answer how many orders that were.

    Repeated calls do no harm. What an agent takes away meanwhile stays away.
    """
    reply = redis.call("HGETALL", keys.boot_bound(instance_id))
    commands: list[Command] = []
    for name, stored in zip(reply[::2], reply[1::2], strict=True):
        if b":" in name:
            continue
        entry = _with_key(stored, instance_id, master, key_id)
        if entry is not None:
            fresh = msgspec.json.encode(entry)
            commands.append(replace_entry_command(keys.boot_bound(instance_id), name, stored, fresh))
    return sum(run_all(redis, commands)) if commands else 0


def _with_key(stored: bytes, instance_id: str, master: MasterKeys, key_id: str) -> BootEntry | None:
    """The entry signed with another key; ``None`` when it is already, or was not signed by a producer."""
    try:
        entry = _decoder.decode(stored)
        envelope, signature = entry.envelope.encode(), entry.mac.encode()
        held = parse_signature(signature, entry.key_id).key_id
        if held == key_id or not verify(master.instance_key(instance_id, held), instance_id, envelope, signature):
            return None
    except (msgspec.MsgspecError, KeyError):
        return None
    return msgspec.structs.replace(
        entry, mac=master.sign(instance_id, envelope, key_id).decode(), key_id=master.current
    )
