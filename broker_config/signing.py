"""Keys and signatures between producers and agents.

Every instance has a key of its own, derived from the producers' master key by HKDF-SHA256 (RFC 5869) over its id, so
the control side stores one secret and an agent that is broken into gives away nothing about another.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from .errors import SettingsInvalid

_SALT = b"cloud-assistant instance keys v1"


class _KeyFile(msgspec.Struct):
    current: str
    keys: dict[str, str]


@dataclass(frozen=True)
class MasterKeys:
    """The producers' keys: one signs, older ones may still verify while a rotation is under way."""

    current: str
    keys: Mapping[str, bytes]

    def instance_key(self, instance_id: str, key_id: str = "") -> bytes:
        """Derive the key of one instance."""
        return _derive(self.keys[key_id or self.current], instance_id)

    def sign(self, instance_id: str, message: bytes) -> bytes:
        """Make the MAC of a message for one instance with the current key."""
        return mac(_derive(self.keys[self.current], instance_id), instance_id, message)


def mac(key: bytes, instance_id: str, message: bytes) -> bytes:
    """Make the MAC of a message that is meant for one instance: 32 bytes, hexadecimal."""
    return hmac.digest(key, instance_id.encode() + b"\n" + message, "sha256").hex().encode()


def verify(key: bytes, instance_id: str, message: bytes, given: bytes) -> bool:
    """Check a MAC in constant time."""
    return hmac.compare_digest(mac(key, instance_id, message), given)


def digest(data: bytes) -> str:
    """The SHA-256 of a work order, as envelopes carry it."""
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=65536)
def _derive(master: bytes, instance_id: str) -> bytes:
    extracted = hmac.digest(_SALT, master, "sha256")
    return hmac.digest(extracted, b"instance " + instance_id.encode() + b"\x01", "sha256")


def read_master_keys(path: Path) -> MasterKeys:
    """Read the master key file.

    Raises:
        SettingsInvalid: the file is missing, unreadable, open to other users, or not ours.
    """
    try:
        mode = path.stat().st_mode
        parsed = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
        keys = {name: bytes.fromhex(value) for name, value in parsed.keys.items()}
    except (OSError, msgspec.MsgspecError, ValueError) as exc:
        raise SettingsInvalid(f"master key file {path}: {exc}") from exc
    if os.name == "posix" and mode & 0o077:
        raise SettingsInvalid(f"master key file {path} is open to other users; run: chmod 600 {path}")
    if parsed.current not in keys or min(map(len, keys.values())) < 32:
        raise SettingsInvalid(f"master key file {path}: 'current' must name one of 'keys', each of 32 bytes or more")
    return MasterKeys(parsed.current, keys)


def write_master_keys(path: Path, master: MasterKeys) -> None:
    """Write the master key file with mode 0600, replacing it in one step."""
    text = msgspec.json.encode(_KeyFile(master.current, {name: key.hex() for name, key in master.keys.items()}))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def new_master_keys(previous: MasterKeys | None = None) -> MasterKeys:
    """Make a new current key; the keys of ``previous`` stay valid for verification."""
    older = dict(previous.keys) if previous else {}
    name = f"k{len(older) + 1}"
    return MasterKeys(name, {**older, name: os.urandom(32)})
