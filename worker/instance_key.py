"""The keys of this instance: what a producer's signature is checked with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..broker_config.errors import SettingsInvalid
from ..broker_config.signing import parse_signature, verify

#: In the home of the agent; the same form as the producers' key file, with this instance's keys in it.
FILE_NAME = "instance-key.json"
_LEAST_BYTES = 32


class _KeyFile(msgspec.Struct):
    current: str
    keys: dict[str, str]


@dataclass(frozen=True)
class InstanceKeys:
    """Keys by their id; several while a rotation is under way."""

    keys: Mapping[str, bytes]

    def accepts(self, key_id: str, instance_id: str, message: bytes, signature: bytes) -> bool:
        """Tell whether a signature was made over this message, for this instance, with one of our keys.

        ``key_id`` names the key of a signature that does not do so itself.
        """
        key = self.keys.get(parse_signature(signature, key_id).key_id)
        return key is not None and verify(key, instance_id, message, signature)


def read_instance_keys(home: Path) -> InstanceKeys | None:
    """Read the key file of a home; ``None`` when there is none.

    Raises:
        SettingsInvalid: it is unreadable, open to other users, or not ours.
    """
    path = home / FILE_NAME
    try:
        mode = path.stat().st_mode
        parsed = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
        keys = {name: bytes.fromhex(text) for name, text in parsed.keys.items()}
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as exc:
        raise SettingsInvalid(f"instance key file {path}: {exc}; register this instance again") from exc
    if os.name == "posix" and mode & 0o077:
        raise SettingsInvalid(f"instance key file {path} is open to other users; run: chmod 600 {path}")
    if not keys or min(map(len, keys.values())) < _LEAST_BYTES:
        raise SettingsInvalid(f"instance key file {path}: each of 'keys' must have {_LEAST_BYTES} bytes or more")
    return InstanceKeys(keys)
