"""Sign requests as a client does, written apart from the code that verifies them."""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from unit.producer.gateway.captures import EMPTY_BODY_DIGEST, KEY_ID, SECRET

Headers = dict[str, str]


def now_text(offset_seconds: int = 0) -> str:
    """The present moment, or one near it, as clients write it."""
    at = datetime.now(UTC).timestamp() + offset_seconds
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def v1_parameters(
    action: str,
    business: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    secret: str = SECRET,
    **common: str | None,
) -> dict[str, str]:
    """All parameters of a version 1 request, signed; a common one given as None is left out."""
    given: dict[str, str | None] = {
        "Action": action,
        "Version": "2014-05-26",
        "Format": "JSON",
        "AccessKeyId": KEY_ID,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": now_text(),
        **(business or {}),
        **common,
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    canonical = urlencode(sorted(parameters.items()), quote_via=quote, safe="-_.~")
    to_sign = f"{method}&%2F&{quote(canonical, safe='-_.~')}"
    digest = hmac.new(f"{secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
    return {**parameters, "Signature": base64.b64encode(digest).decode()}


def v1_query(action: str, business: Mapping[str, str] | None = None, **options: str | None) -> str:
    """The same as a query string."""
    method = options.pop("method", "POST") or "POST"
    secret = options.pop("secret", SECRET) or SECRET
    return urlencode(
        v1_parameters(action, business, method=method, secret=secret, **options), quote_via=quote, safe="-_.~"
    )


def v3_headers(
    action: str,
    query: Mapping[str, str] | None = None,
    *,
    called_name: str,
    method: str = "POST",
    body: bytes = b"",
    key_id: str = KEY_ID,
    secret: str = SECRET,
    **headers: str,
) -> Headers:
    """The headers of a version 3 request, signed; further ones by keyword, ``_`` for ``-``."""
    signed = {
        "host": called_name,
        "x-acs-action": action,
        "x-acs-version": "2014-05-26",
        "x-acs-date": now_text(),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest() if body else EMPTY_BODY_DIGEST,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    names = ";".join(sorted(signed))
    canonical_query = urlencode(sorted((query or {}).items()), quote_via=quote, safe="-_.~")
    canonical_headers = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    digest = signed["x-acs-content-sha256"]
    canonical = f"{method}\n/\n{canonical_query}\n{canonical_headers}\n{names}\n{digest}"
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return {
        **signed,
        "authorization": f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}",
    }
