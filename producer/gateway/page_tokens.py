"""Seal the tokens of pages, so that only the caller who got one can use it, and nobody can make one up."""

import base64
import binascii
import hmac

from ..security.caller import AccessKey
from .api_errors import api_error

_SEAL_BYTES = 9
_TOKEN_LIMIT_CHARACTERS = 2048


def sealed_token(token: str, caller: AccessKey) -> str:
    """Seal a token for this caller; the last page's empty token stays empty."""
    if not token:
        return ""
    data = token.encode()
    return base64.urlsafe_b64encode(_seal(data, caller) + data).decode()


def unsealed_token(token: str, caller: AccessKey) -> str:
    """Open a sealed token.

    Raises:
        ApiError: ``InvalidParameter.NextToken``: it was not made here for this caller.
    """
    if not token:
        return ""
    try:
        if len(token) > _TOKEN_LIMIT_CHARACTERS:
            raise ValueError(token)
        sealed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        data = sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(sealed[:_SEAL_BYTES], _seal(data, caller)):
            raise ValueError(token)
        return data.decode()
    except (binascii.Error, ValueError) as exc:
        raise api_error("InvalidParameter.NextToken") from exc


def _seal(data: bytes, caller: AccessKey) -> bytes:
    key = f"page {caller.principal} {caller.secret}".encode()
    return hmac.digest(key, data, "sha256")[:_SEAL_BYTES]
