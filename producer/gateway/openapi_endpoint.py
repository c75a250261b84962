"""The API's one endpoint, ``/``: from a complete request to a reply, without any input or output of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...broker_config.errors import CloudAssistantError
from ..security.caller import AccessKey
from .access.audited_actions import is_reading
from .access.authentication import Authenticator
from .access.signature_v1 import read_v1
from .access.signature_v3 import is_v3, read_v3
from .access.signed_request import SignedRequest
from .actions.action import ActionRegistry, Call, Fields, NotYet
from .actions.parameters import Parameters
from .api_errors import ApiError, api_error
from .domain_errors import api_error_of
from .exchange import Exchange
from .request_parameters import RequestParameters, assembled, with_todays_names
from .serving.http_messages import HttpReply

VERSION = "2014-05-26"
METHODS = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class Postponed:
    """A reply that the client would rather have later."""

    pause_ms: int
    reply_so_far: Callable[[], HttpReply]
    look_again: Callable[[], "HttpReply | Postponed"]
    listen: Callable[[Callable[[], None]], Callable[[], None]] | None = None


class Authorization(Protocol):
    """What a caller may do."""

    def require(self, caller: AccessKey, action: str) -> None:
        """Return if the caller may use the action at all.

        Raises:
            ApiError: ``Forbidden.RAM`` otherwise.
        """


class Refusals(Protocol):
    """Where refused requests are noted."""

    def turn(self) -> None:
        """Do what is due from time to time."""

    def require_room(self, caller: AccessKey, action: str) -> None:
        """Return if the caller was not refused too often.

        Raises:
            ApiError: it was.
        """

    def refused(self, exchange: Exchange, error: ApiError, *, is_entered: bool) -> None:
        """Take note of a refusal."""

    def close(self) -> None:
        """Write down what is still open; the gateway ends."""


class NoRefusals:
    """Notes nothing: for an endpoint without a store behind it."""

    def turn(self) -> None:
        """Do nothing."""

    def require_room(self, caller: AccessKey, action: str) -> None:
        """Let everything pass."""

    def refused(self, exchange: Exchange, error: ApiError, *, is_entered: bool) -> None:
        """Forget it."""

    def close(self) -> None:
        """Do nothing."""


class OpenApiEndpoint:
    """Authenticate a request, find its action, and write what that answers."""

    def __init__(
        self,
        actions: ActionRegistry,
        authenticator: Authenticator,
        authorization: Authorization,
        refusals: Refusals | None = None,
    ) -> None:
        self._refusals = refusals or NoRefusals()
        self._actions = actions
        self._authenticator = authenticator
        self._authorization = authorization

    def answer(self, exchange: Exchange) -> HttpReply | Postponed:
        """Answer a request. Every documented refusal is a reply; only mistakes of ours are raised."""
        self._refusals.turn()
        try:
            return self._answer(exchange)
        except ApiError as error:
            return self._refused(exchange, error)
        except CloudAssistantError as error:
            return self._refused(exchange, api_error_of(error, exchange.action))

    def _refused(self, exchange: Exchange, error: ApiError) -> HttpReply:
        self._refusals.refused(exchange, error, is_entered=False)
        return exchange.refused(error)

    def _answer(self, exchange: Exchange) -> HttpReply | Postponed:
        parameters = assembled(exchange.request)
        exchange.choose_format(parameters.merged)
        signed = _signed_request(exchange, parameters)
        exchange.action = signed.action
        exchange.access_key_id = signed.access_key_id
        caller = exchange.caller = self._authenticator.caller_of(signed)
        action = self._actions.find(signed.action)
        if action is None:
            raise api_error("InvalidAction.NotFound", self._actions.unknown(signed.action))
        if signed.version != VERSION:
            raise api_error("InvalidVersion")
        self._authorization.require(caller, signed.action)
        self._refusals.require_room(caller, signed.action)
        values = with_todays_names(signed.action, parameters.merged)
        call = Call(
            signed.action,
            Parameters(values),
            caller,
            exchange.request_id,
            source=exchange.source,
            called_name=exchange.request.called_name,
            written=exchange.written,
        )
        return self._reply(exchange, lambda: action(call))

    def _reply(self, exchange: Exchange, look: Callable[[], Fields | NotYet]) -> HttpReply | Postponed:
        try:
            outcome = look()
        except ApiError as error:
            # What an action refuses is entered where the action is called; of reading, that it was forbidden, and that
            # alone counts: whoever asks all the time for what is not there yet may still change something.
            reads = is_reading(exchange.action)
            if not reads or error.code == "Forbidden.RAM":
                self._refusals.refused(exchange, error, is_entered=not reads)
            return exchange.refused(error)
        if not isinstance(outcome, NotYet):
            return exchange.succeeded(outcome)
        so_far = outcome.so_far
        look_again = outcome.look_again
        return Postponed(
            outcome.pause_ms,
            lambda: exchange.succeeded(so_far),
            lambda: self._reply(exchange, look_again),
            outcome.listen,
        )


def _signed_request(exchange: Exchange, parameters: RequestParameters) -> SignedRequest:
    request = exchange.request
    if is_v3(request):
        return read_v3(request, parameters.query)
    if request.header(b"authorization") and "Signature" not in parameters.merged:
        raise api_error("IncompleteSignature", "The Authorization header is not one of ACS3-HMAC-SHA256.")
    return read_v1(request.method, parameters.merged)
