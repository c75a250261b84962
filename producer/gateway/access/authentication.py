"""Find out who sent a request: key, time, signature, nonce, in this order."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from ...security.caller import AccessKey
from ..actions.parameters import SECRET_PARAMETERS
from ..api_errors import ApiError, api_error, http_status_of
from .signed_request import SignedRequest

#: How far a client's clock may be off, either way.
TIME_TOLERANCE_MS = 15 * 60 * 1000
#: A nonce must be remembered for at least twice the tolerance: from the earliest to the latest valid moment.
NONCE_TTL_SECONDS = 1860
NONCE_LIMIT_CHARACTERS = 128
SECURITY_TOKEN_LIMIT_CHARACTERS = 4096
#: A longer text that was signed is not repeated: it is five times as long as the request, and for whoever has seen the
#: id of a key. A script of the largest default size fits, whatever it is written in.
SHOWN_CHARACTERS = 128 * 1024

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class AccessKeyLookup(Protocol):
    """Where access keys are kept."""

    def find(self, access_key_id: str) -> AccessKey | None:
        """Find a key by its id, disabled ones too."""


class NonceStore(Protocol):
    """Where used nonces are remembered, for all gateways together."""

    def remember(self, access_key_id: str, nonce: str, ttl_seconds: int) -> bool:
        """Remember a nonce for a while; false if this key had used it already."""


class Authenticator:
    """Verify signed requests against the known access keys.

    A request is accepted at most once: its nonce is remembered, but only after the signature was found right, so
    that a stranger cannot use up nonces of others.
    """

    def __init__(self, access_keys: AccessKeyLookup, nonces: NonceStore, now_ms: Callable[[], int]) -> None:
        self._access_keys = access_keys
        self._nonces = nonces
        self._now_ms = now_ms

    def caller_of(self, request: SignedRequest) -> AccessKey:
        """Give the access key that made this request.

        Raises:
            ApiError: with the first code that applies: unknown key, disabled key, time, signature, token, nonce.
        """
        access_key = self._access_keys.find(request.access_key_id)
        if access_key is None:
            raise api_error("InvalidAccessKeyId.NotFound")
        if not access_key.active:
            raise api_error("InvalidAccessKeyId.Inactive")
        _require_fresh(request.time_text, self._now_ms())
        if not request.is_signed_with(access_key.secret):
            raise _signature_does_not_match(request)
        if request.security_token:
            raise _token_refused(request.security_token)
        self._require_new(request)
        return access_key

    def _require_new(self, request: SignedRequest) -> None:
        if not request.nonce:
            raise api_error("MissingParameter", "The signature nonce is empty.")
        if len(request.nonce) > NONCE_LIMIT_CHARACTERS:
            raise api_error(
                "InvalidParameter.SignatureNonce",
                f"The signature nonce is longer than {NONCE_LIMIT_CHARACTERS} characters.",
            )
        if not self._nonces.remember(request.access_key_id, request.nonce, NONCE_TTL_SECONDS):
            raise api_error("SignatureNonceUsed")


def time_of(text: str) -> int:
    """Read ``2026-01-31T08:00:00Z`` as milliseconds since 1970.

    Raises:
        ApiError: ``InvalidTimeStamp.Format`` for anything else.
    """
    if not _TIME.fullmatch(text):
        raise api_error("InvalidTimeStamp.Format")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise api_error("InvalidTimeStamp.Format") from exc
    return int(moment.timestamp()) * 1000


def _require_fresh(time_text: str, now_ms: int) -> None:
    difference_ms = now_ms - time_of(time_text)
    if abs(difference_ms) > TIME_TOLERANCE_MS:
        direction = "behind" if difference_ms > 0 else "ahead of"
        raise api_error(
            "InvalidTimeStamp.Expired",
            f"The request was signed {abs(difference_ms) // 1000} seconds {direction} this server's clock.",
        )


def _token_refused(token: str) -> ApiError:
    """Say what is wrong with a security token: no temporary credentials are issued here, so it is no key's."""
    is_malformed = len(token) > SECURITY_TOKEN_LIMIT_CHARACTERS or not _TOKEN.fullmatch(token)
    return api_error(f"InvalidSecurityToken.{'Malformed' if is_malformed else 'MismatchWithAccessKey'}")


def _signature_does_not_match(request: SignedRequest) -> ApiError:
    """Say what we would have signed.

    The old Python SDK splits the message at colons, compares the second part with its own string to sign, and if
    they are equal tells its user that the secret is wrong. So there is exactly one colon, and that text after it.
    """
    code = "SignatureDoesNotMatch"
    signed = request.string_to_sign
    if SECRET_PARAMETERS in signed:
        # Messages of errors stand in logs, and with version 1 the text is all that was sent.
        signed = f"what is not shown because {SECRET_PARAMETERS} are part of it"
    elif len(signed) > SHOWN_CHARACTERS:
        signed = f"what is not shown because it has {len(signed)} characters, so compare a shorter request"
    message = (
        "The signature is not the one this server computes. If the text that the client signed is the same, "
        f"the AccessKeySecret is wrong; otherwise compare the two. The server signed:{signed}"
    )
    return ApiError(code, http_status_of(code), message)
