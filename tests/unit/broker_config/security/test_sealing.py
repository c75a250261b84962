"""Encrypted bytes open only where, and as, they were meant to."""

import base64

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.security import sealing
from cloud_assistant.broker_config.security.envelope_signing import open_secrets, seal_secrets
from cloud_assistant.broker_config.security.signing import subkey

KEY = b"k" * 32


def test_what_was_sealed_opens_with_the_same_key_and_context_and_shows_nothing() -> None:
    sealed = sealing.seal(KEY, b"a secret value", b"context")
    assert b"secret" not in base64.b64decode(sealed)
    assert sealing.unseal(KEY, sealed, b"context") == b"a secret value"
    assert sealing.seal(KEY, b"a secret value", b"context") != sealed, "the same text never looks the same"


@pytest.mark.parametrize(
    ("key", "context", "change"),
    [(b"x" * 32, b"context", 0), (KEY, b"another", 0), (KEY, b"context", 1), (KEY, b"context", -1)],
)
def test_another_key_another_context_or_changed_bytes_open_nothing(key: bytes, context: bytes, change: int) -> None:
    raw = bytearray(base64.b64decode(sealing.seal(KEY, b"a secret value", b"context")))
    if change:
        raw[change] ^= 1
    with pytest.raises(Refused) as caught:
        sealing.unseal(key, base64.b64encode(raw), context)
    assert caught.value.code == "SealBroken"


@pytest.mark.parametrize("garbage", [b"", b"no base64!", b"c2hvcnQ="])
def test_garbage_is_refused_like_a_change(garbage: bytes) -> None:
    with pytest.raises(Refused):
        sealing.unseal(KEY, garbage, b"context")


def test_secret_parameters_open_for_their_instance_and_envelope_only() -> None:
    sealed = seal_secrets(KEY, "i-1", b"envelope", {"token": "päss"})
    assert open_secrets(KEY, "i-1", b"envelope", sealed) == {"token": "päss"}
    for instance_id, envelope in (("i-2", b"envelope"), ("i-1", b"another envelope")):
        with pytest.raises(Refused):
            open_secrets(KEY, instance_id, envelope, sealed)


@pytest.mark.parametrize("junk", [b"", b"[1]", b'{"token": 1}', b'{"token": "\xff"}'])
def test_what_was_encrypted_and_is_no_secret_parameters_is_refused(junk: bytes) -> None:
    sealed = sealing.seal(subkey(KEY, "secret parameters"), junk, b"i-1\nenvelope")
    with pytest.raises(Refused) as refused:
        open_secrets(KEY, "i-1", b"envelope", sealed)
    assert refused.value.code == "SealBroken"
