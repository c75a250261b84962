"""``POST /register``: a machine with an activation code becomes an instance."""

from dataclasses import replace

import msgspec

from ....broker_config.audit.entry import Who
from ....broker_config.errors import CloudAssistantError, RedisRefused, RedisUnreachable
from ....broker_config.programs.program_log import logger
from ....broker_config.redis.server_names import LOOPBACK
from ....broker_config.redis.url import parse_url
from ....broker_config.security.master_key import find_master_keys, master_key_path
from ....broker_config.untrusted_input import UntrustedDecoder
from ...api import Assistant
from ...auditing import Request, acting_for
from ...fleet.registration import Registered, RegistrationRequest, WrongCode, register
from ...security.credentials import is_of_this_machine
from ..access.guess_limit import GuessLimit
from ..api_errors import ApiError, api_error
from ..domain_errors import api_error_of
from ..exchange import Exchange, safe_in_log
from ..openapi_endpoint import Refusals
from ..routes import Route, RouteRequest
from ..serving.http_messages import HttpReply

PATH = "/register"
_BODY_BYTES = 16 * 1024

_log = logger("gateway")
_decoder = UntrustedDecoder(msgspec.json.Decoder(RegistrationRequest))


class RegistrationPage:
    """Answers registrations."""

    def __init__(self, assistant: Assistant, refusals: Refusals) -> None:
        self._assistant = assistant
        self._refusals = refusals
        # What this gateway runs is signed with the key that was here when it began, or not at all.
        self._signs = find_master_keys(assistant.settings) is not None
        if not self._signs:
            _log.warning(
                "no master key in %s: agents with credentials refuse what is run through this gateway, and no machine "
                "can register; copy the file here and start the gateway again",
                master_key_path(assistant.settings),
            )
        self._guesses = GuessLimit(
            assistant.redis, "registration", assistant.settings.gateway.registration_failures_count
        )

    def route(self) -> Route:
        """The page as the gateway serves it."""
        return Route(("POST",), self.answer, body_bytes=_BODY_BYTES)

    def answer(self, asked: RouteRequest) -> HttpReply:
        """Register a machine, or say which rule is against it; either is a line in the log."""
        exchange = Exchange(asked.request, asked.client_address)
        exchange.action = "RegisterInstance"
        self._refusals.turn()
        activation_id = "-"
        try:
            self._guesses.require(asked.client_address)
            request = _read(asked.request.body)
            activation_id = exchange.access_key_id = safe_in_log(request.activation_id)
            who = Who(kind="activation", name=activation_id, source=asked.client_address)
            with acting_for(Request(who, exchange.request_id)):
                registered = register(
                    self._assistant.redis,
                    self._assistant.trust,
                    request,
                    address=asked.client_address,
                    before_use=lambda: self._require_usable(asked.client_address),
                )
        except ApiError as error:
            return self._refused(exchange, error, activation_id, asked.client_address)
        except CloudAssistantError as error:
            told = self._counted(error, asked.client_address)
            if isinstance(told, RedisRefused):
                _log.error("registration failed request_id=%s reason=%s", exchange.request_id, told)
            return self._refused(exchange, api_error_of(told), activation_id, asked.client_address)
        _log.info(
            "instance registered instance_id=%s activation_id=%s again=%s client=%s request_id=%s",
            registered.instance_id,
            activation_id,
            str(registered.again).lower(),
            asked.client_address or "-",
            exchange.request_id,
        )
        if not registered.issued.is_saved:
            _log.warning(
                "Redis has no ACL file: it forgets the user of %s when it restarts; see aclfile in its configuration",
                registered.instance_id,
            )
        reply = exchange.succeeded(_shape(registered))
        return replace(reply, headers={**reply.headers, "cache-control": "no-store"})

    def _counted(self, error: CloudAssistantError, client_address: str) -> CloudAssistantError:
        """Count a wrong code; where that cannot be done, that is the answer: an uncounted guess learns nothing."""
        if isinstance(error, WrongCode):
            try:
                self._guesses.note_wrong(client_address)
            except (RedisUnreachable, RedisRefused) as exc:
                return exc
        return error

    def _require_usable(self, client_address: str) -> None:
        """Refuse to make an instance that could not work, before a use is lost for it.

        Raises:
            ApiError: nothing could be signed for it, or the address of Redis means nothing on that machine.
        """
        if not self._signs:
            raise ApiError(
                "MasterKey.Missing",
                503,
                "This gateway was started without the master key of the installation. Its operator has to copy the "
                "file to it and start it again.",
            )
        settings = self._assistant.settings
        if settings.security.agent_redis_url or not client_address or client_address in LOOPBACK:
            return
        if is_of_this_machine(settings.redis_url):
            shown = parse_url(settings.redis_url).shown()
            raise ApiError(
                "AgentRedisUrl.Missing",
                503,
                f"Agents would be told to reach Redis at {shown}, which is this gateway's own machine. The "
                "operator of the gateway has to set security.agent_redis_url to the address that agents can reach.",
            )

    def _refused(self, exchange: Exchange, error: ApiError, activation_id: str, client_address: str) -> HttpReply:
        self._refusals.refused(exchange, error, is_entered=False)
        _log.warning(
            "registration refused code=%s activation_id=%s client=%s request_id=%s",
            error.code,
            activation_id,
            client_address or "-",
            exchange.request_id,
        )
        return exchange.refused(error)


def _read(body: bytes) -> RegistrationRequest:
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as exc:
        # What msgspec says names fields and types, never values.
        raise api_error("InvalidParameter", f"The body is not a registration: {exc}.") from exc


def _shape(registered: Registered) -> dict[str, object]:
    return {
        "InstanceId": registered.instance_id,
        "InstanceName": registered.instance_name,
        "Again": registered.again,
        "Settings": registered.issued.credentials.settings(),
    }
