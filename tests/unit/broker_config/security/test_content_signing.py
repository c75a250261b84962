"""A signature in a script's last line: what it covers, and who made it."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.security.content_signing import (
    is_signed_by,
    parse_public,
    public_text,
    sign_content,
    signed_part,
)


def pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


KEY = pem(Ed25519PrivateKey.generate())
TRUSTED = frozenset({parse_public(public_text(KEY))})
STRANGER = pem(Ed25519PrivateKey.generate())


@given(st.binary(max_size=300))
def test_what_was_signed_is_signed(content: bytes) -> None:
    assert is_signed_by(sign_content(content, KEY), TRUSTED)
    assert not is_signed_by(sign_content(content, STRANGER), TRUSTED)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_no_byte_can_be_changed(content: bytes, data: st.DataObject) -> None:
    signed = sign_content(content, KEY)
    place = data.draw(st.integers(0, len(signed) - 1))
    changed = bytearray(signed)
    changed[place] ^= data.draw(st.integers(1, 255))
    body = signed_part(bytes(changed))
    # The mark of the comment, its case and the last line's end are no part of what is signed, nor of what runs.
    assert not is_signed_by(bytes(changed), TRUSTED) or (body is not None and body.body == signed_part(signed)[0])  # type: ignore[index]


@pytest.mark.parametrize("more", [b"evil\n", b"\nevil", b"\n\n", b" "])
def test_nothing_may_follow_the_signature(more: bytes) -> None:
    assert not is_signed_by(sign_content(b"true\n", KEY) + more, TRUSTED)


def test_nothing_may_stand_before_what_was_signed() -> None:
    assert not is_signed_by(b"evil\n" + sign_content(b"true\n", KEY), TRUSTED)


def test_a_signature_is_good_for_its_script_only() -> None:
    line = sign_content(b"true\n", KEY).splitlines(keepends=True)[-1]
    assert not is_signed_by(b"evil\n" + line, TRUSTED)


def test_signing_again_replaces_the_signature_and_a_batch_file_has_its_own_comment() -> None:
    once = sign_content(b"true", KEY)
    assert sign_content(once, KEY) == once
    batch = sign_content(b"@echo off\r\n", KEY, comment="rem")
    assert batch.splitlines()[-1].startswith(b"rem ca-signature: ed25519 ")
    assert is_signed_by(batch, TRUSTED)


@pytest.mark.parametrize("bad", [b"", b"no key", pem(X25519PrivateKey.generate())])
def test_only_an_ed25519_key_signs(bad: bytes) -> None:
    with pytest.raises(RequestInvalid, match="openssl genpkey") as refused:
        sign_content(b"true", bad)
    assert refused.value.code == "InvalidSigningKey"


@pytest.mark.parametrize("bad", ["", "ed25519:", "ed25519:AAAA", base64.b64encode(b"x" * 32).decode(), "ed25519:é"])
def test_a_public_key_has_one_form(bad: str) -> None:
    with pytest.raises(ValueError, match=r"ed25519|Base64|ASCII"):
        parse_public(bad)
