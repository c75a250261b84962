"""New keys for an instance, sent to its agent through Redis: encrypted with a key that it holds already."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ..errors import Refused
from .sealing import seal, unseal
from .signing import subkey

_PURPOSE = "key bundle"


class _Contents(msgspec.Struct):
    serial: int
    current: str
    keys: dict[str, str]


@dataclass(frozen=True)
class KeyBundle:
    """All keys that an instance shall hold from now on; what is not among them counts no more."""

    #: Later bundles have a greater one, so that an earlier one cannot be brought back.
    serial: int
    current: str
    keys: Mapping[str, bytes] = field(repr=False)


_decoder = msgspec.json.Decoder(_Contents)


def wrap(bundle: KeyBundle, instance_id: str, *, key_id: str, key: bytes) -> bytes:
    """Encrypt a bundle with a key that the instance holds."""
    shown = {name: one.hex() for name, one in bundle.keys.items()}
    data = msgspec.json.encode(_Contents(bundle.serial, bundle.current, shown))
    return f"{key_id}:".encode() + seal(subkey(key, _PURPOSE), data, instance_id.encode())


def unwrap(wrapped: bytes, instance_id: str, held: Mapping[str, bytes]) -> KeyBundle:
    """Decrypt a bundle with one of the keys held.

    Raises:
        Refused: it was not made with one of them, or not for this instance, or makes no sense (``SealBroken``).
    """
    key_id, _, sealed = wrapped.partition(b":")
    key = held.get(key_id.decode("utf-8", "replace"))
    if key is None:
        raise Refused(f"new keys came wrapped with {key_id!r}, which is not held here", code="SealBroken")
    try:
        contents = _decoder.decode(unseal(subkey(key, _PURPOSE), sealed, instance_id.encode()))
        keys = {name: bytes.fromhex(text) for name, text in contents.keys.items()}
    except (msgspec.MsgspecError, ValueError) as exc:
        raise Refused(f"new keys cannot be read: {exc}", code="SealBroken") from exc
    if contents.current not in keys:
        raise Refused("new keys name a current one that is not among them", code="SealBroken")
    return KeyBundle(contents.serial, contents.current, keys)
