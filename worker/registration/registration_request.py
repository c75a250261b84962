"""Ask a gateway to make this machine an instance: one POST over HTTP, with nothing but the standard library."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...broker_config.errors import CloudAssistantError, Refused, SettingsInvalid
from ...broker_config.ids import is_instance_id
from ...broker_config.redis.server_names import LOOPBACK, http_address
from ..backoff import Backoff

#: What a gateway has to set on this machine; anything else in its answer is not taken over.
ACCEPTED_SETTINGS = frozenset({"redis_url", "instance_id", "security.instance_key"})
#: Codes of refusals that are over soon.
_PASSING_CODES = frozenset({"IdempotentProcessing", "ServiceUnavailable"})
_TIMEOUT_SECONDS = 30.0
_TRIES_COUNT = 5
_REPLY_BYTES = 64 * 1024


class GatewayUnreachable(CloudAssistantError, ConnectionError):
    """The gateway gave no answer that makes sense."""

    code = "ServiceUnavailable"


@dataclass(frozen=True)
class Granted:
    """What a gateway gave: who we are, and the settings to run with."""

    instance_id: str
    instance_name: str
    settings: Mapping[str, str]
    #: Whether this machine was registered before.
    again: bool


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An activation code is for the gateway that was named, and for no other."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """Follow nothing; the redirection itself is reported as an answer without sense."""


class RegistrationClient:
    """Registers with one gateway; a request that got no answer is repeated, which takes no second use."""

    def __init__(
        self, gateway: str, *, ca_file: str = "", allow_http: bool = False, pause: Callable[[float], object]
    ) -> None:
        """Check the URL; nothing is sent yet.

        Raises:
            SettingsInvalid: it is not the URL of a gateway, or would send secrets in clear.
        """
        #: What finds and checks this gateway again: the agent's upgrades and packages come from it.
        self.gateway, self.ca_file = _checked(gateway, allow_http=allow_http).rstrip("/"), ca_file
        self._url = self.gateway + "/register"
        self._pause = pause
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except (OSError, ssl.SSLError) as exc:
            raise SettingsInvalid(f"--ca-file {ca_file}: {exc}") from exc
        # A proxy for plain HTTP would read the code, even on its way to this machine; HTTPS passes through one unread.
        proxies = {kind: url for kind, url in urllib.request.getproxies().items() if kind in ("https", "no")}
        self._opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
        )

    def register(self, request: Mapping[str, object]) -> Granted:
        """Register, trying again for a while where nobody answers.

        Raises:
            GatewayUnreachable: no answer, or none of a gateway.
            Refused: the gateway's own refusal, with its code.
        """
        backoff = Backoff(first_seconds=0.5)
        body = json.dumps(request).encode()
        for tries_left in reversed(range(_TRIES_COUNT)):
            try:
                return _granted(self._exchange(body))
            except (GatewayUnreachable, Refused) as exc:
                if not tries_left or exc.code not in _PASSING_CODES or isinstance(exc.__cause__, ssl.SSLError):
                    raise
            self._pause(backoff.next_seconds())
        raise AssertionError("the last try raises")

    def _exchange(self, body: bytes) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url, body, {"Content-Type": "application/json", "User-Agent": "assist-agent"}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                return self._parsed(response.status, response.read(_REPLY_BYTES))
        except urllib.error.HTTPError as exc:
            with exc:
                answer = self._parsed(exc.code, exc.read(_REPLY_BYTES))
            raise Refused(str(answer.get("Message", "")), code=str(answer.get("Code", "")) or None) from None
        except (OSError, http.client.HTTPException) as exc:
            reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
            cause = reason if isinstance(reason, BaseException) else exc
            raise GatewayUnreachable(f"the gateway at {self._url} does not answer: {reason}{_hint(reason)}") from cause

    def _parsed(self, http_status: int, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise GatewayUnreachable(
                f"{self._url} answers with status {http_status} and nothing of a gateway; is that its URL?",
                code="NotAGateway",
            )
        return answer


def _hint(reason: object) -> str:
    """What to look at when this kept us from the gateway."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "; is the CA right (--ca-file)?"
    if isinstance(reason, ssl.SSLError):
        return "; does it speak TLS there, or is it http://…?"
    return "; is that its address, and does it run?"


def _granted(answer: Mapping[str, Any]) -> Granted:
    given = answer.get("Settings")
    settings = {
        name: value
        for name, value in (given.items() if isinstance(given, dict) else ())
        if name in ACCEPTED_SETTINGS and isinstance(value, str)
    }
    missing = ACCEPTED_SETTINGS - settings.keys()
    if missing or not is_instance_id(settings["instance_id"]):
        raise GatewayUnreachable(
            f"the gateway's answer lacks {', '.join(sorted(missing)) or 'an instance id'}; is it of our release?",
            code="NotAGateway",
        )
    return Granted(
        instance_id=settings["instance_id"],
        instance_name=str(answer.get("InstanceName", "")),
        settings=settings,
        again=answer.get("Again") is True,
    )


def _checked(gateway: str, *, allow_http: bool) -> str:
    parts = http_address(gateway)
    if parts is None or parts.port == 0:
        raise SettingsInvalid(f"--gateway {gateway!r} is not https://… (or http://… on this machine)")
    if parts.query or parts.fragment or parts.username:
        raise SettingsInvalid(f"--gateway {gateway!r}: give scheme, name, port and path only")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not allow_http:
        raise SettingsInvalid(
            f"--gateway {gateway!r}: over plain HTTP the code and this machine's new password travel readable, and "
            "anybody on the way could send others; use https://, or --allow-http if that network is trusted"
        )
    return gateway
