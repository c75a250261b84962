"""Encrypt and authenticate a few bytes with AES-256-GCM, bound to the context in which they are to be read.

The library is imported when it is first needed: most processes never open or close anything.
"""

import base64
import binascii
import os

from ..errors import Refused

_NONCE_BYTES = 12


def seal(key: bytes, data: bytes, context: bytes) -> bytes:
    """Encrypt; the result is Base64 and opens only with the same key and the same context."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # lazy: 20 ms

    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, data, context))


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what ``seal`` made.

    Raises:
        Refused: it was made with another key or for another context, or was changed (``SealBroken``).
    """
    from cryptography.exceptions import InvalidTag  # lazy: 20 ms
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # lazy: as above

    try:
        raw = base64.b64decode(sealed, validate=True)
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context)
    except (InvalidTag, binascii.Error, ValueError) as exc:
        raise Refused(
            "what was stored encrypted does not open: it was changed, or belongs to another key", code="SealBroken"
        ) from exc
