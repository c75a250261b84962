"""The keys of this instance: what a producer's signature is checked with, and what its results are signed with.

The first key comes with the credentials, in a setting. A key that replaces it while the agent runs is kept in the
agent's home; when the credentials are made anew, the setting is another one and the kept keys count no more.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import msgspec

from ...broker_config.errors import SettingsInvalid
from ...broker_config.files.private_file import write_private_file
from ...broker_config.security.signing import parse_signature, verify

#: In the home of the agent; the same form as the producers' key file, with this instance's keys in it.
FILE_NAME = "instance-key.json"
_LEAST_BYTES = 32


class _KeyFile(msgspec.Struct):
    current: str
    keys: dict[str, str]
    #: Which setting the keys have replaced; none for a file that was put here by hand.
    replaces: str = ""
    #: Counts the replacements, so that an old one cannot be brought back.
    serial: int = 0


@dataclass(frozen=True)
class InstanceKeys:
    """Keys by their id; several while a rotation is under way."""

    keys: Mapping[str, bytes] = field(repr=False)
    #: The id of the one that signs.
    current: str
    serial: int = 0

    def accepts(self, key_id: str, instance_id: str, message: bytes, given: bytes) -> bool:
        """Tell whether a signature was made over this message, for this instance, with a key of these.

        ``key_id`` names the key of a signature that does not name it itself.
        """
        key = self.keys.get(parse_signature(given, key_id).key_id)
        return key is not None and verify(key, instance_id, message, given)


def read_instance_keys(home: Path, configured: str = "") -> InstanceKeys | None:
    """Read the keys of this instance: from its home, else from the setting; ``None`` when there are none.

    Raises:
        SettingsInvalid: they cannot be read, are open to other users, or are not ours.
    """
    kept = _read_file(home / FILE_NAME)
    if kept is not None and (not configured or kept.replaces == _mark(configured)):
        return _checked(f"instance key file {home / FILE_NAME}", kept)
    if not configured:
        return None
    key_id, _, text = configured.partition(":")
    return _checked("security.instance_key", _KeyFile(key_id, {key_id: text}))


def keep_instance_keys(home: Path, configured: str, keys: InstanceKeys) -> None:
    """Put keys that replace the configured one into the home, in one step and for good.

    Raises:
        OSError: the home cannot be written.
    """
    shown = {key_id: key.hex() for key_id, key in keys.keys.items()}
    data = msgspec.json.encode(_KeyFile(keys.current, shown, _mark(configured) if configured else "", keys.serial))
    write_private_file(home / FILE_NAME, data)


def _mark(configured: str) -> str:
    return hashlib.sha256(configured.encode()).hexdigest()


def _read_file(path: Path) -> _KeyFile | None:
    try:
        mode = path.stat().st_mode
        parsed = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"instance key file {path}: {exc}; register this instance again") from exc
    if os.name == "posix" and mode & 0o077:
        raise SettingsInvalid(f"instance key file {path} is open to other users; run: chmod 600 {quote(str(path))}")
    return parsed


def _checked(where: str, parsed: _KeyFile) -> InstanceKeys:
    try:
        keys = {key_id: bytes.fromhex(text) for key_id, text in parsed.keys.items()}
    except ValueError as exc:
        raise SettingsInvalid(f"{where}: a key is not hexadecimal; register this instance again") from exc
    if not keys or parsed.current not in keys or min(map(len, keys.values())) < _LEAST_BYTES:
        raise SettingsInvalid(
            f"{where}: it must be id:hexadecimal with {_LEAST_BYTES} bytes or more, as `assist instance add "
            "--credentials` writes it"
        )
    return InstanceKeys(keys, parsed.current, parsed.serial)
