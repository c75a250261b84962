"""Sign anew what waits for the start of a machine when its instance gets another key.

An order waits for a boot for months, and keys are changed meanwhile. What the old key signed, and nothing else, is
signed with the new one, and what was encrypted with the old one is encrypted anew: nobody who can only write to Redis
gets a signature this way. It is for a key that follows from the old one, as in a rotation, and not for new credentials
after a theft: whoever has stolen a key can sign with it, so what a key from before them signed stays as it is.
"""

import msgspec

from .. import keys
from ..errors import Refused
from ..functions.entries import replace_entry_command
from ..functions.function_library import run, run_all
from ..functions.reported import read_orders_command
from ..redis.client import Redis
from ..redis.connection import Command
from ..security.envelope_signing import EnvelopeSigner, open_secrets
from ..security.signing import MasterKeys, parse_signature, verify
from ..untrusted_input import UntrustedDecoder
from .boot_bound import BootEntry

_decoder = UntrustedDecoder(msgspec.json.Decoder(BootEntry))


def resign(redis: Redis, instance_id: str, master: MasterKeys, key_id: str, *, held: str) -> int:
    """Sign with ``key_id`` what waits for the next start of an instance's machine and is signed with the key ``held``.

    Answers how many orders that were. Repeated calls do no harm. What an agent takes away meanwhile stays away.
    """
    reply = run(redis, read_orders_command(keys.boot_bound(instance_id)))
    signer = EnvelopeSigner(redis, master)
    commands: list[Command] = []
    for name, stored in zip(reply[::2], reply[1::2], strict=True):
        if b":" in name:
            continue
        entry = _read(stored)
        if entry is None or not _is_signed(entry, instance_id, master, held):
            continue
        try:
            fresh = _with_key(entry, instance_id, master, signer, key_id)
        except Refused:
            # Whoever has the instance's key can sign what they cannot have encrypted.
            continue
        commands.append(replace_entry_command(keys.boot_bound(instance_id), name, stored, msgspec.json.encode(fresh)))
    return sum(run_all(redis, commands))


def _read(stored: bytes) -> BootEntry | None:
    """The entry; ``None`` when it is none of ours."""
    try:
        return _decoder.decode(stored)
    except msgspec.MsgspecError:
        return None


def _is_signed(entry: BootEntry, instance_id: str, master: MasterKeys, key_id: str) -> bool:
    """Tell whether this very key has signed an entry."""
    signature = entry.mac.encode()
    if parse_signature(signature, entry.key_id).key_id != key_id:
        return False
    try:
        key = master.instance_key(instance_id, key_id)
    except KeyError:
        return False
    return verify(key, instance_id, entry.envelope.encode(), signature)


def _with_key(entry: BootEntry, instance_id: str, master: MasterKeys, signer: EnvelopeSigner, key_id: str) -> BootEntry:
    """The entry signed with another key, its secrets encrypted with it.

    Raises:
        Refused: they do not open.
    """
    envelope, signature = entry.envelope.encode(), parse_signature(entry.mac.encode(), entry.key_id)
    secrets = {}
    if signature.sealed:
        old_key = master.instance_key(instance_id, signature.key_id)
        secrets = open_secrets(old_key, instance_id, envelope, signature.sealed)
    [made] = signer.signatures([instance_id], envelope, secrets, [key_id])
    return msgspec.structs.replace(entry, mac=made.decode(), key_id=master.current)
