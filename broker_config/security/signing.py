"""Keys and signatures between producers and agents.

Every instance has a key of its own, derived from the producers' master key by HKDF-SHA256 (RFC 5869) over its id, so
the control side stores one secret and an agent that is broken into gives away nothing about another. The id of such a
key is the master key's name, and after a rotation of one instance its generation: ``k1``, ``k2``, ``k2.3``.

What the control side stores and later acts upon (commands, timed invocations, access keys) carries a seal made with
the master key, so that whoever can write to Redis cannot have a text of their own signed for an instance.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import msgspec

from ..errors import SettingsInvalid
from ..files.private_file import write_private_file

_SALT = b"cloud-assistant instance keys v1"
_KEY_ID = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,32})(?:\.(?P<generation>[0-9]{1,9}))?")
_NUMBERED = re.compile(r"k[0-9]{1,6}")


class _KeyFile(msgspec.Struct):
    current: str
    keys: dict[str, str]


class KeyId(NamedTuple):
    """Which key of an instance: the master key it comes from, and how often the instance got a new one."""

    name: str
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.name}.{self.generation}" if self.generation else self.name


class Signature(NamedTuple):
    """What travels beside an envelope: the key's id, the MAC, and secrets sealed for the instance, if any."""

    key_id: str
    mac: bytes
    sealed: bytes = b""

    def __bytes__(self) -> bytes:
        tail = b":" + self.sealed if self.sealed else b""
        return self.key_id.encode() + b":" + self.mac + tail


@dataclass(frozen=True)
class MasterKeys:
    """The producers' keys: one signs, older ones may still verify while a rotation is under way."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def instance_key(self, instance_id: str, key_id: str = "") -> bytes:
        """Derive a key of one instance; without an id the one of the current master key.

        Raises:
            KeyError: the master key that it comes from is not here (any more).
        """
        name, generation = parse_key_id(key_id or self.current)
        return _derive(self.keys[name], instance_id, generation)

    def sign(self, instance_id: str, message: bytes, key_id: str = "", sealed: bytes = b"") -> bytes:
        """Sign a message for one instance, and with it what is sealed for that instance."""
        key = self.instance_key(instance_id, key_id)
        return bytes(Signature(key_id or self.current, mac(key, instance_id, _covered(message, sealed)), sealed))

    def purpose_key(self, purpose: str, name: str = "") -> bytes:
        """Derive a key for the control side's own use; each purpose has another."""
        return subkey(self.keys[name or self.current], f"control side {purpose}")

    def fingerprint(self, name: str = "") -> str:
        """A short name for a master key that says nothing about it."""
        return self.purpose_key("fingerprint", name).hex()[:16]

    def seal(self, purpose: str, data: bytes) -> str:
        """Seal what the control side stores for itself; ``is_sealed`` says later whether it was changed."""
        made = hmac.digest(self.purpose_key(purpose), data, "sha256").hex()
        return f"{self.current}:{made}"

    def is_sealed(self, purpose: str, data: bytes, seal: str) -> bool:
        """Tell whether a seal was made for this purpose over these bytes, by one of the keys here."""
        name, _, given = seal.partition(":")
        if name not in self.keys:
            return False
        made = hmac.digest(self.purpose_key(purpose, name), data, "sha256").hex()
        return hmac.compare_digest(made.encode(), given.encode())


def parse_key_id(text: str) -> KeyId:
    """Read ``k2`` or ``k2.3``.

    Raises:
        KeyError: it is no such id.
    """
    found = _KEY_ID.fullmatch(text)
    if found is None:
        raise KeyError(text)
    return KeyId(found["name"], int(found["generation"] or 0))


def parse_signature(given: bytes, key_id: str = "") -> Signature:
    """Read a signature; one without the key's id is taken to be of ``key_id``."""
    first, _, rest = given.partition(b":")
    if not rest:
        return Signature(key_id, first)
    made, _, sealed = rest.partition(b":")
    return Signature(first.decode("utf-8", "replace"), made, sealed)


def mac(key: bytes, instance_id: str, message: bytes) -> bytes:
    """Make the MAC of a message that is meant for one instance: 32 bytes, hexadecimal."""
    return hmac.digest(key, instance_id.encode() + b"\n" + message, "sha256").hex().encode()


def verify(key: bytes, instance_id: str, message: bytes, given: bytes) -> bool:
    """Check a signature in constant time."""
    signature = parse_signature(given)
    return hmac.compare_digest(mac(key, instance_id, _covered(message, signature.sealed)), signature.mac)


@lru_cache(maxsize=65536)
def subkey(key: bytes, purpose: str) -> bytes:
    """Derive from a key another one that serves one purpose only."""
    return hmac.digest(key, b"cloud-assistant " + purpose.encode() + b"\x01", "sha256")


def digest(data: bytes) -> str:
    """The SHA-256 of a work order, as envelopes carry it."""
    return hashlib.sha256(data).hexdigest()


def _covered(message: bytes, sealed: bytes) -> bytes:
    # Envelopes are JSON and hold no NUL, so the two cannot be shifted into each other.
    return message + b"\0" + sealed if sealed else message


@lru_cache(maxsize=65536)
def _derive(master: bytes, instance_id: str, generation: int) -> bytes:
    extracted = hmac.digest(_SALT, master, "sha256")
    # An instance id holds no blank, so the generation cannot be mistaken for a part of it.
    info = f"instance {instance_id} {generation}" if generation else f"instance {instance_id}"
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256")


def read_master_keys(path: Path) -> MasterKeys:
    """Read the master key file.

    Raises:
        SettingsInvalid: the file is missing, unreadable, open to other users, or not ours.
    """
    try:
        mode = path.stat().st_mode
        parsed = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
        keys = {name: bytes.fromhex(value) for name, value in parsed.keys.items()}
    except FileNotFoundError as exc:
        raise SettingsInvalid(
            f"master key file {path} does not exist; copy it here from where it was made, or make the first one of an"
            " installation: assist key create"
        ) from exc
    except OSError as exc:
        raise SettingsInvalid(f"master key file {path}: {exc.strerror}") from exc
    except (msgspec.MsgspecError, ValueError) as exc:
        raise SettingsInvalid(f"master key file {path}: {exc}") from exc
    if os.name == "posix" and mode & 0o077:
        raise SettingsInvalid(f"master key file {path} is open to other users; run: chmod 600 {quote(str(path))}")
    if parsed.current not in keys or min(map(len, keys.values())) < 32:
        raise SettingsInvalid(f"master key file {path}: 'current' must name one of 'keys', each of 32 bytes or more")
    return MasterKeys(parsed.current, keys)


def write_master_keys(path: Path, master: MasterKeys) -> None:
    """Write the master key file with mode 0600, replacing it in one step."""
    text = msgspec.json.encode(_KeyFile(master.current, {name: key.hex() for name, key in master.keys.items()}))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private_file(path, text)


def new_master_keys(previous: MasterKeys | None = None) -> MasterKeys:
    """Make a new current key; the keys of ``previous`` stay valid for verification."""
    older = dict(previous.keys) if previous else {}
    highest = max((int(name[1:]) for name in older if _NUMBERED.fullmatch(name)), default=0)
    name = f"k{highest + 1}"
    return MasterKeys(name, {**older, name: os.urandom(32)})
