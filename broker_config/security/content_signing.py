"""Sign a script with an operator's own key: the signature is the script's last line, a comment.

It travels with the content through everything that carries scripts (the library, schedules, any client of the API),
and an instance whose owner trusts the operator's public key (``signers`` in its local policy) checks it. The control
side has no part in it: neither the master key nor a change in Redis makes such a signature.

    # ca-signature: ed25519 <Base64 of the signature over all lines before it>

The library is imported when it is first needed: most processes never check a signature.
"""

import base64
import binascii
import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import RequestInvalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: What makes this signature unusable for anything else.
_PURPOSE = b"cloud-assistant script signature v1\n"
_LAST_LINE = re.compile(
    rb"(?P<mark>#|::|rem) ca-signature: ed25519 (?P<signature>[A-Za-z0-9+/=]{88})(?:\r?\n)?\Z", re.IGNORECASE
)
_PUBLIC_PREFIX = "ed25519:"
_KEY_BYTES = 32


class SignedContent(NamedTuple):
    """A script and the signature that stands in its last line."""

    body: bytes
    signature: bytes


def sign_content(content: bytes, private_pem: bytes, *, comment: str = "#") -> bytes:
    """Add the signature line to a script; one that is signed already is signed anew.

    Raises:
        RequestInvalid: the key is no Ed25519 private key in PEM (``InvalidSigningKey``).
    """
    found = signed_part(content)
    body = found.body if found else content
    if body and not body.endswith(b"\n"):
        body += b"\n"
    made = base64.b64encode(_private_key(private_pem).sign(_PURPOSE + body))
    return body + comment.encode() + b" ca-signature: ed25519 " + made + b"\n"


def public_text(private_pem: bytes) -> str:
    """The public key as ``signers`` of a local policy names it: ``ed25519:`` and Base64.

    Raises:
        RequestInvalid: the key is no Ed25519 private key in PEM (``InvalidSigningKey``).
    """
    raw = _private_key(private_pem).public_key().public_bytes_raw()
    return _PUBLIC_PREFIX + base64.b64encode(raw).decode()


def signed_part(content: bytes) -> SignedContent | None:
    """Find the signature of a script; ``None`` when its last line is none. Nothing is checked."""
    # The last line is short: a search over a large script would cost more than the check.
    begin = content.rfind(b"\n", 0, max(0, len(content) - 1)) + 1
    found = _LAST_LINE.match(content, begin)
    if found is None:
        return None
    try:
        return SignedContent(content[:begin], base64.b64decode(found["signature"], validate=True))
    except binascii.Error:
        return None


def parse_public(text: str) -> bytes:
    """Read a public key as ``public_text`` writes it.

    Raises:
        ValueError: it is not one.
    """
    try:
        raw = base64.b64decode(text.removeprefix(_PUBLIC_PREFIX), validate=True)
    except binascii.Error as exc:
        raise ValueError(f"{text[:60]!r} is not Base64: {exc}") from exc
    if not text.startswith(_PUBLIC_PREFIX) or len(raw) != _KEY_BYTES:
        raise ValueError(f"{text[:60]!r} is not ed25519: followed by the Base64 of {_KEY_BYTES} bytes")
    return raw


def is_signed_by(content: bytes, public_keys: frozenset[bytes]) -> bool:
    """Tell whether one of these keys has signed a script."""
    found = signed_part(content)
    if found is None:
        return False
    from cryptography.exceptions import InvalidSignature  # lazy: 20 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # lazy: as above

    for raw in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(found.signature, _PURPOSE + found.body)
        except InvalidSignature:
            continue
        return True
    return False


def _private_key(pem: bytes) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # lazy: 20 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # lazy: as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # lazy: as above

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise _not_a_key(str(exc)) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(f"it is of another kind ({type(key).__name__})")
    return key


def _not_a_key(why: str) -> RequestInvalid:
    return RequestInvalid(
        f"not an Ed25519 private key without a passphrase, in PEM: {why}; make one with: "
        "openssl genpkey -algorithm ed25519 -out operator.pem",
        code="InvalidSigningKey",
    )
