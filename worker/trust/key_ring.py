"""The keys of this instance in use: they check what producers signed, and sign results.

They may be replaced while the agent runs, by new ones that come wrapped with one of them.
"""

from collections.abc import Mapping
from pathlib import Path

from ...broker_config.errors import Refused
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.connection import Argument
from ...broker_config.security.envelope_signing import open_secrets
from ...broker_config.security.key_bundle import unwrap
from ...broker_config.security.result_signing import FIELD, sign_result
from ...broker_config.security.signing import parse_signature
from .instance_key import InstanceKeys, keep_instance_keys, read_instance_keys

_log = logger("keys")


class KeyRing:
    """The keys of one instance; any thread may use them. Without keys it accepts everything and signs nothing."""

    def __init__(self, home: Path, instance_id: str, configured: str) -> None:
        """Read the keys.

        Raises:
            SettingsInvalid: they cannot be used.
        """
        self._home = home
        self._instance_id = instance_id
        self._configured = configured
        self._keys = read_instance_keys(home, configured)
        self._seen = b""

    def __bool__(self) -> bool:
        return self._keys is not None

    @property
    def key_ids(self) -> str:
        """The ids of the keys held, for the heartbeat; the one that signs comes first."""
        keys = self._keys
        if keys is None:
            return ""
        return ",".join([keys.current, *(name for name in sorted(keys.keys) if name != keys.current)])

    def accepts(self, key_id: str, message: bytes, signature: bytes) -> bool:
        """Tell whether a producer signed this message for this instance."""
        keys = self._keys
        return keys is None or keys.accepts(key_id, self._instance_id, message, signature)

    def signed(self, execution_id: str, state: str, fields: Mapping[str, Argument]) -> Mapping[str, Argument]:
        """Add the MAC to the fields that end an execution."""
        keys = self._keys
        if keys is None:
            return fields
        # A script that never started has no start: the moment of the claim, which is not ours, must not stay there.
        whole = {"started_ms": 0, **fields}
        made = sign_result(keys.current, keys.keys[keys.current], execution_id, {**whole, "state": state})
        return {**whole, FIELD: made}

    def open_secrets(self, envelope: bytes, signature: bytes) -> dict[str, str]:
        """Decrypt the secret parameters that came with an envelope; none is an empty dictionary.

        Raises:
            Refused: they were not encrypted to this instance, for this envelope.
        """
        given = parse_signature(signature)
        if not given.sealed:
            return {}
        key = self._keys.keys.get(given.key_id) if self._keys else None
        if key is None:
            raise Refused("the secret parameters are encrypted with a key that is not held here", code="SealBroken")
        return open_secrets(key, self._instance_id, envelope, given.sealed)

    def take_up(self, bundle: bytes) -> None:
        """Use the keys of a bundle from now on, if they are newer than ours and come from who made ours."""
        keys = self._keys
        if keys is None or not bundle or bundle == self._seen:
            return
        self._seen = bundle
        try:
            found = unwrap(bundle, self._instance_id, keys.keys)
        except Refused as exc:
            _log.error("new keys of this instance were refused: %s", exc)
            return
        if found.serial <= keys.serial:
            return
        fresh = InstanceKeys(found.keys, found.current, found.serial)
        try:
            keep_instance_keys(self._home, self._configured, fresh)
        except OSError as exc:
            self._seen = b""
            _log.error("new keys of this instance cannot be kept (%s), so the old ones stay in use", exc)
            return
        self._keys = fresh
        _log.info("took up new keys key_ids=%s", self.key_ids)
