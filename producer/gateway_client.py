"""Call the API through a gateway: a signed request of version 1 with nothing but the standard library."""

import base64
import hashlib
import hmac
import http.client
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..broker_config.clock import iso_seconds, now_ms
from ..broker_config.errors import CloudAssistantError, NotFound, Refused, RequestInvalid, SettingsInvalid
from ..broker_config.redis.server_names import may_be_server_name
from ..broker_config.redis.tls import TlsClient, TlsFilesUnusable
from ..broker_config.untrusted_input import UntrustedDecoder
from .gateway.access.percent_encoding import canonical_query, encoded

_VERSION = "2014-05-26"
#: Longer than the longest wait that the API offers.
_TIMEOUT_SECONDS = 60.0
_decoder = UntrustedDecoder(msgspec.json.Decoder(dict[str, Any]))


class GatewayUnreachable(CloudAssistantError, ConnectionError):
    """The gateway gave no answer; whether the request took effect is not known."""

    code = "ServiceUnavailable"


@dataclass(frozen=True)
class GatewayClient:
    """One gateway and the access key to use there."""

    url: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    ca_file: str = ""

    def call(self, action: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Call an action and give its answer.

        Raises:
            GatewayUnreachable: no answer, or not one of a gateway.
            NotFound, Refused, RequestInvalid: the API's own error, with its code.
        """
        form = signed_form(action, parameters, self.access_key_id, self.access_key_secret)
        http_status, content = self._exchange(form.encode("ascii"))
        try:
            body = _decoder.decode(content)
        except msgspec.DecodeError as exc:
            raise GatewayUnreachable(
                f"{self.url} answers with status {http_status} and no JSON; is that the gateway?"
            ) from exc
        if http_status != http.client.OK:
            raise error_of(http_status, str(body.get("Code", "InternalError")), str(body.get("Message", "")))
        return body

    def _exchange(self, form: bytes) -> tuple[int, bytes]:
        tls = TlsClient(ca=self.ca_file, ca_option="gateway.ca_file")
        try:
            connection = connection_to(self.url, tls)
        except TlsFilesUnusable as exc:
            raise SettingsInvalid(f"gateway.ca_file: {exc}") from exc
        try:
            connection.request("POST", "/", form, {"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as exc:
            problem = tls.explain(exc, urlsplit(self.url).hostname or self.url) if isinstance(exc, OSError) else ""
            how = f"cannot be trusted: {problem}" if problem else f"does not answer ({exc})"
            raise GatewayUnreachable(f"the gateway at {self.url} {how}") from exc
        finally:
            connection.close()


def error_of(http_status: int, code: str, message: str) -> CloudAssistantError:
    """The exception for an error of the API."""
    if http_status == http.client.NOT_FOUND:
        return NotFound(message, code=code)
    if http_status == http.client.FORBIDDEN:
        return Refused(message, code=code)
    if http_status >= http.client.INTERNAL_SERVER_ERROR:
        return GatewayUnreachable(message, code=code)
    return RequestInvalid(message, code=code)


def signed_form(action: str, parameters: Mapping[str, str], key_id: str, secret: str) -> str:
    """Write parameters as a form that carries its own signature."""
    given = {
        **parameters,
        "Action": action,
        "Version": _VERSION,
        "Format": "JSON",
        "AccessKeyId": key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": iso_seconds(now_ms()),
    }
    canonical = canonical_query(given)
    to_sign = f"POST&%2F&{encoded(canonical)}"
    digest = hmac.digest(f"{secret}&".encode(), to_sign.encode(), hashlib.sha1)
    return f"{canonical}&Signature={encoded(base64.b64encode(digest).decode())}"


def connection_to(url: str, tls: TlsClient, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> http.client.HTTPConnection:
    """Make a connection, not opened yet.

    Raises:
        SettingsInvalid: the URL is not one of a gateway.
        TlsFilesUnusable: the CA file cannot be used.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise SettingsInvalid(f"gateway.url: {url!r} has no valid port, or is none: {exc}") from exc
    if parts.scheme == "http+unix" and parts.path:
        return _UnixConnection(parts.path, timeout_seconds)
    if parts.scheme not in ("http", "https") or not parts.hostname or not may_be_server_name(parts.hostname):
        raise SettingsInvalid(f"gateway.url: {url!r} is not http://…, https://… or http+unix:///path")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, port, timeout=timeout_seconds)
    return http.client.HTTPSConnection(parts.hostname, port, timeout=timeout_seconds, context=tls.context())


class _UnixConnection(http.client.HTTPConnection):
    """The same over a Unix socket."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
