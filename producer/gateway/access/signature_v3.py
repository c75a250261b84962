"""Signature version 3: ACS3-HMAC-SHA256 over query, chosen headers and body, sent in ``Authorization``."""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..api_errors import ApiError, api_error
from ..serving.http_messages import HttpRequest
from .percent_encoding import canonical_query
from .signed_request import SignedRequest

ALGORITHM = "ACS3-HMAC-SHA256"
#: Headers that must be there once and be signed; every other ``x-acs-`` header present must be signed too.
MANDATORY_HEADERS = (
    "host",
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
)

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<key>[^\s,]+)\s*,\s*SignedHeaders=(?P<headers>[^\s,]+)"
    r"\s*,\s*Signature=(?P<signature>[^\s,]+)\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureV3(SignedRequest):
    """A request signed over its query, the listed headers and the digest of its body."""

    signature: str
    signed_names: Sequence[str]
    headers: Mapping[str, list[bytes]]
    query: Mapping[str, str]
    request: HttpRequest

    @property
    def string_to_sign(self) -> str:
        """The algorithm and the digest of the canonical request."""
        return f"{ALGORITHM}\n{hashlib.sha256(self._canonical_request()).hexdigest()}"

    def is_signed_with(self, secret: str) -> bool:
        """Tell, in constant time, whether the signature was made with this secret, over this very body."""
        computed = hmac.digest(secret.encode(), self.string_to_sign.encode(), "sha256").hex()
        matches = hmac.compare_digest(computed.encode(), self.signature.encode())
        claimed_digest = self.headers["x-acs-content-sha256"][0]
        return matches and hmac.compare_digest(self._body_digest().encode(), claimed_digest)

    def _body_digest(self) -> str:
        return hashlib.sha256(self.request.body).hexdigest()

    def _canonical_request(self) -> bytes:
        """Write the request in the one form over which the client computed its signature.

        Header values stay bytes: a proxy or client may have put anything there, and it is signed as it is.
        """
        lines = [
            self.request.method.encode("latin-1"),
            b"/",
            canonical_query(self.query).encode(),
            *(
                name.encode("latin-1") + b":" + b",".join(sorted(value.strip() for value in self.headers[name]))
                for name in self.signed_names
            ),
            b"",
            ";".join(self.signed_names).encode("latin-1"),
            self._body_digest().encode(),
        ]
        return b"\n".join(lines)


def is_v3(request: HttpRequest) -> bool:
    """Tell the two versions apart. Only this header decides: old SDKs send ``x-acs-action`` with version 1 too."""
    return request.header(b"authorization").startswith("ACS3-")


def read_v3(request: HttpRequest, query: Mapping[str, str]) -> SignatureV3:
    """Read the signature's parts from the headers.

    Raises:
        ApiError: ``IncompleteSignature`` for a malformed header, an unsigned mandatory one or one that is named twice,
            ``InvalidSignatureMethod`` for another algorithm.
    """
    values = request.header_values(b"authorization")
    authorization = values[0].decode("latin-1") if len(values) == 1 else ""
    algorithm = authorization.partition(" ")[0]
    if algorithm.startswith("ACS3-") and algorithm != ALGORITHM:
        raise api_error("InvalidSignatureMethod")
    parts = _AUTHORIZATION.fullmatch(authorization)
    if parts is None:
        raise _incomplete(
            f"The Authorization header is not of the form {ALGORITHM} Credential=…,SignedHeaders=…,Signature=…."
        )
    signed_names = parts["headers"].split(";")
    headers = _header_values(request)
    _require_signed(signed_names, headers)
    if headers.get("x-acs-accesskey-id", [parts["key"].encode("latin-1")]) != [parts["key"].encode("latin-1")]:
        raise _incomplete("The header x-acs-accesskey-id names another access key than Credential does.")
    single = {name: headers[name][0].decode("latin-1") for name in MANDATORY_HEADERS}
    return SignatureV3(
        access_key_id=parts["key"],
        action=single["x-acs-action"],
        version=single["x-acs-version"],
        time_text=single["x-acs-date"],
        nonce=single["x-acs-signature-nonce"],
        security_token=headers.get("x-acs-security-token", [b""])[0].decode("latin-1"),
        signature=parts["signature"],
        signed_names=signed_names,
        headers=headers,
        query=query,
        request=request,
    )


def _header_values(request: HttpRequest) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for name, value in request.headers:
        found.setdefault(name.decode("latin-1"), []).append(value)
    return found


def _require_signed(signed_names: list[str], headers: Mapping[str, list[bytes]]) -> None:
    absent = [name for name in (*MANDATORY_HEADERS, *signed_names) if name not in headers]
    if absent:
        raise _incomplete(f"The header {absent[0][:64]} belongs to the signature and is missing.")
    # A stranger's head may have tens of thousands of either.
    signed = frozenset(signed_names)
    if len(signed) < len(signed_names):
        # Each time its whole value would be a part of what is signed.
        twice = next(name for name, count in Counter(signed_names).items() if count > 1)
        raise _incomplete(f"The header {twice[:64]} stands more than once among the signed headers.")
    unsigned = [
        name for name in headers if (name in MANDATORY_HEADERS or name.startswith("x-acs-")) and name not in signed
    ]
    if unsigned:
        raise _incomplete(f"The header {unsigned[0][:64]} is not among the signed headers.")
    repeated = [name for name in headers if name.startswith("x-acs-") and len(headers[name]) > 1]
    if repeated or len(headers["host"]) > 1:
        raise _incomplete(f"The header {(repeated or ['host'])[0][:64]} occurs more than once.")


def _incomplete(detail: str) -> ApiError:
    return api_error("IncompleteSignature", detail)
