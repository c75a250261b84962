"""Seal the tokens of pages, so that only the caller who got one can use it, and nobody can make one up or read it."""

import base64
import hmac

from ...broker_config.errors import Refused
from ...broker_config.security.sealing import seal, unseal
from ..security.caller import AccessKey
from .api_errors import api_error

_CONTEXT = b"page"
_TOKEN_LIMIT_CHARACTERS = 2048


def sealed_token(token: str, caller: AccessKey) -> str:
    """Seal a token for this caller; the last page's empty token stays empty.

    A place in a list counts what lies before it, also what the caller may not see.
    """
    if not token:
        return ""
    sealed = seal(_key_of(caller), token.encode(), _CONTEXT)
    return base64.urlsafe_b64encode(base64.b64decode(sealed)).decode()


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
        return unseal(_key_of(caller), base64.b64encode(sealed), _CONTEXT).decode()
    except (Refused, ValueError) as exc:
        raise api_error("InvalidParameter.NextToken") from exc


def _key_of(caller: AccessKey) -> bytes:
    return hmac.digest(f"page {caller.principal} {caller.secret}".encode(), b"token", "sha256")
