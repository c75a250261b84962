"""Sign an envelope for each of its targets, with the key that each target holds, and seal secrets for it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

import msgspec

from .. import keys
from ..errors import Refused
from ..redis.client import Redis
from ..redis.connection import Command
from ..timed.secret_values import require_master
from ..untrusted_input import UntrustedDecoder
from .sealing import seal, unseal
from .signing import MasterKeys, subkey

_SECRETS = "secret parameters"
#: Instances whose key ids a signer remembers; beyond that it starts anew.
_REMEMBERED_COUNT = 20_000
_decoder = UntrustedDecoder(msgspec.json.Decoder(dict[str, str]))


class EnvelopeSigner:
    """Signs for a producer; without a master key every signature is empty, and agents with a key refuse it."""

    def __init__(self, redis: Redis, master: MasterKeys | None) -> None:
        self._redis = redis
        self._master = master
        #: Which key an instance held when it was last signed for, where that is not the current one.
        self._remembered: dict[str, str] = {}

    def assumed_key_ids(self, targets: Sequence[str]) -> list[str]:
        """Which key each target is likely to hold, without asking; nothing where nothing is signed."""
        if self._master is None:
            return []
        return [self._remembered.get(one, self._master.current) for one in targets]

    def note_key_ids(self, targets: Sequence[str], reply: Sequence[bytes | None]) -> None:
        """Take what somebody has read by ``key_ids_command``; who creates something is told when it is old."""
        if self._master is not None:
            for one, key_id in zip(targets, reply, strict=True):
                self._remember(one, key_id.decode() if key_id else self._master.current, self._master.current)

    def signatures(
        self,
        targets: Sequence[str],
        envelope: bytes,
        secrets: Mapping[str, str] | None = None,
        held: Sequence[str] | None = None,
    ) -> Iterator[bytes]:
        """Sign for each target, in their order: each is signed when wanted.

        Whose key is which is asked at once unless the caller says it, by the key ids that the targets hold.

        Raises:
            Refused: there are secrets and no master key to seal them with (``MasterKeyMissing``), or a target holds
                a key whose master key is not here (``MasterKeyUnknown``).
        """
        master = require_master(self._master) if secrets else self._master
        if master is None:
            yield from repeat(b"", len(targets))
            return
        if held is None:
            held = key_ids(self._redis, targets)
        for one, key_id in zip(targets, held, strict=True):
            yield self._sign(master, one, key_id, envelope, secrets)

    def _sign(
        self, master: MasterKeys, instance_id: str, key_id: str, envelope: bytes, secrets: Mapping[str, str] | None
    ) -> bytes:
        try:
            sealed = b""
            if secrets:
                sealed = seal_secrets(master.instance_key(instance_id, key_id), instance_id, envelope, secrets)
            signature = master.sign(instance_id, envelope, key_id, sealed)
        except KeyError as exc:
            raise Refused(
                f"{instance_id} holds key {key_id}, whose master key is not in this program's master key file; "
                "copy the file from where keys are rotated",
                code="MasterKeyUnknown",
            ) from exc
        self._remember(instance_id, key_id or master.current, master.current)
        return signature

    def _remember(self, instance_id: str, key_id: str, current: str) -> None:
        if key_id == current:
            self._remembered.pop(instance_id, None)
        else:
            if len(self._remembered) >= _REMEMBERED_COUNT:
                self._remembered.clear()
            self._remembered[instance_id] = key_id


def key_ids(redis: Redis, instance_ids: Sequence[str]) -> list[str]:
    """Which key each instance holds; ``""`` for the first of the current master key."""
    if not instance_ids:
        return []
    return [(one or b"").decode() for one in redis.call(*key_ids_command(instance_ids))]


def key_ids_command(instance_ids: Sequence[str]) -> Command:
    """The command that reads which key each instance holds; empty for the first of the current master key."""
    return ("HMGET", keys.KEY_IDS, *instance_ids)


def seal_secrets(instance_key: bytes, instance_id: str, envelope: bytes, values: Mapping[str, str]) -> bytes:
    """Encrypt secret parameters to one instance, for this envelope only."""
    return seal(subkey(instance_key, _SECRETS), msgspec.json.encode(dict(values)), _context(instance_id, envelope))


def open_secrets(instance_key: bytes, instance_id: str, envelope: bytes, sealed: bytes) -> dict[str, str]:
    """Decrypt secret parameters.

    Raises:
        Refused: they were made for another instance or another envelope, were changed, or make no sense.
    """
    opened = unseal(subkey(instance_key, _SECRETS), sealed, _context(instance_id, envelope))
    try:
        return _decoder.decode(opened)
    except msgspec.MsgspecError as exc:
        # Whoever has stolen the instance's key can encrypt anything; what it says is not repeated.
        raise Refused(
            "what was encrypted to this instance is not a set of secret parameters", code="SealBroken"
        ) from exc


def _context(instance_id: str, envelope: bytes) -> bytes:
    return instance_id.encode() + b"\n" + envelope
