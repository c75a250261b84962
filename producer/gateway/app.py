"""The ASGI application: routes, threads for blocking work, limits, and the last line against unforeseen errors."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from ...broker_config.settings_table import GatewaySettings
from .access.authentication import AccessKeyLookup, Authenticator, NonceStore
from .access_log import log_exchange
from .actions.action import ActionRegistry
from .api_errors import ApiError, api_error
from .downloads.file_serving import FileServing
from .exchange import Exchange
from .openapi_endpoint import METHODS, Authorization, OpenApiEndpoint, Postponed, Refusals
from .other_paths import OtherPaths
from .routes import Routes
from .serving.client_address import ClientAddresses
from .serving.crowd import Crowd
from .serving.http_messages import HttpReply, HttpRequest, path_of_target
from .serving.interruption import Interruption
from .serving.request_body import ClientLeft, RequestBody
from .serving.request_memory import RequestMemory
from .serving.sending import send_reply

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_HELD_BYTES = 64 * 1024 * 1024
#: How many requests of the largest size have room at once, whatever that size is.
_HELD_REQUESTS_COUNT = 16


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the application is made of."""

    actions: ActionRegistry
    access_keys: AccessKeyLookup
    nonces: NonceStore
    authorization: Authorization
    now_ms: Callable[[], int]
    #: Whether the gateway can do its work at this moment. May block; must not raise.
    is_healthy: Callable[[], bool]
    #: The metrics in Prometheus' text form, and the content type of that form. May block.
    metrics: Callable[[], tuple[bytes, str]]
    #: What is served beside the API.
    routes: Routes = field(default_factory=Routes)
    client_addresses: ClientAddresses = field(default_factory=ClientAddresses)
    #: What agents download; none is served without it.
    files: FileServing | None = None
    refusals: Refusals | None = None
    crowd: Crowd = field(default_factory=Crowd)


@dataclass(frozen=True, slots=True)
class AppLimits:
    """How much the application takes on at once."""

    #: Requests that may be inside an action at the same time; each holds a thread while Redis answers.
    threads_count: int = 16
    #: Requests under way, waiting ones included; more are told to come back.
    requests_count: int = 1024
    body_bytes: int = 1024 * 1024
    body_seconds: float = 30.0
    #: What may be held of all requests that are not answered yet.
    held_bytes: int = _HELD_BYTES

    @classmethod
    def of(cls, settings: GatewaySettings) -> "AppLimits":
        """Take from the settings what they say; the rest are the defaults."""
        held_bytes = max(_HELD_BYTES, _HELD_REQUESTS_COUNT * settings.request_bytes)
        return cls(threads_count=settings.threads, body_bytes=settings.request_bytes, held_bytes=held_bytes)


class GatewayApplication:
    """``/`` is the API; health, metrics and the routes are answered by ``OtherPaths``; all else is 404.

    ``/files/`` and ``/packages/`` are for agents. A server that speaks the lifespan protocol closes it; else whoever
    has made it does.
    """

    def __init__(self, dependencies: Dependencies, limits: AppLimits | None = None) -> None:
        limits = limits or AppLimits()
        self._dependencies = dependencies
        self._limits = limits
        self.crowd = dependencies.crowd
        self.memory = RequestMemory(limits.held_bytes, self.crowd.request)
        authenticator = Authenticator(dependencies.access_keys, dependencies.nonces, dependencies.now_ms)
        self._endpoint = OpenApiEndpoint(
            dependencies.actions, authenticator, dependencies.authorization, dependencies.refusals
        )
        self._threads = ThreadPoolExecutor(limits.threads_count, thread_name_prefix="gateway-action")
        self._other_paths = OtherPaths(
            is_healthy=dependencies.is_healthy,
            metrics=dependencies.metrics,
            routes=dependencies.routes,
            client_addresses=dependencies.client_addresses,
            body_seconds=limits.body_seconds,
            memory=self.memory,
        )
        self._stopping = asyncio.Event()
        self._requests_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path = path_of_target(scope.get("raw_path") or scope["path"].encode("utf-8"))
        if path == "/":
            await self._serve_api(scope, receive, send)
        elif self._dependencies.files is not None and FileServing.serves(path):
            await self._dependencies.files.serve(scope, path, receive, send)
        else:
            await self._other_paths.serve(path, scope, receive, send)

    def stop_waiting(self) -> None:
        """Answer every postponed request with what there is. To be called in the event loop's thread."""
        self._stopping.set()

    def close(self) -> None:
        """Give the threads back; those inside an action end with it."""
        self._threads.shutdown(wait=False)
        self._other_paths.close()
        if self._dependencies.refusals is not None:
            self._dependencies.refusals.close()
        if self._dependencies.files is not None:
            self._dependencies.files.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_seconds = perf_counter()
        request = HttpRequest.of(scope, "/")
        exchange = Exchange(request, self._dependencies.client_addresses.of_request(scope.get("client"), request))
        body = RequestBody(
            receive,
            limit_bytes=self._limits.body_bytes,
            limit_seconds=self._limits.body_seconds,
            memory=self.memory,
            head_bytes=request.head_bytes,
        )
        self._requests_count += 1
        try:
            reply = await self._reply_to(exchange, body, receive)
        except ClientLeft:
            exchange.code = "ClientLeft"
            log_exchange(exchange, 499, began_seconds, 0)
            return
        except Exception:  # outermost: whatever failed, the client gets an answer and the log the traceback
            logger.exception("request failed request_id=%s", exchange.request_id)
            reply = exchange.refused(api_error("InternalError"))
        finally:
            self._requests_count -= 1
            body.release()
        body_bytes = reply.body_bytes
        await send_reply(send, reply)
        log_exchange(exchange, reply.http_status, began_seconds, body_bytes)

    async def _reply_to(self, exchange: Exchange, body: RequestBody, receive: Receive) -> HttpReply:
        try:
            await self._complete(exchange, body)
        except ApiError as error:
            await body.discard()
            exchange.guess_format()
            reply = exchange.refused(error)
            return reply.closing() if body.is_unread else reply
        outcome = await self._in_thread(lambda: self._endpoint.answer(exchange))
        if isinstance(outcome, HttpReply):
            return outcome
        return await self._wait_for(outcome, receive)

    async def _complete(self, exchange: Exchange, body: RequestBody) -> None:
        """Read the body, unless the request can be refused without it."""
        if exchange.request.method not in METHODS:
            raise api_error("UnsupportedHTTPMethod")
        if self._requests_count > self._limits.requests_count:
            raise api_error(
                "ServiceUnavailable", "Too many requests are under way at this gateway.", retry_after_seconds=1
            )
        content = await body.read()
        if content:
            exchange.request = replace(exchange.request, body=content)

    async def _wait_for(self, postponed: Postponed, receive: Receive) -> HttpReply:
        outcome: HttpReply | Postponed = postponed
        async with Interruption(receive, self._stopping) as interruption:
            while isinstance(outcome, Postponed):
                if await interruption.comes_within(outcome.pause_ms, outcome.listen):
                    return outcome.reply_so_far()
                outcome = await self._in_thread(outcome.look_again)
        return outcome

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
