"""Every path but the API's: health and metrics for the people who run the gateway, and the routes."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from .access_log import log_page
from .api_errors import ApiError, api_error
from .client_address import ClientAddresses
from .exchange import Exchange
from .http_messages import HttpReply, HttpRequest
from .request_body import ClientLeft, RequestBody
from .request_memory import RequestMemory
from .routes import Route, RouteRequest, Routes
from .sending import send_reply
from .shared_look import SharedLook

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Requests for pages under way; more are told to come back.
PAGES_COUNT = 256
#: Threads for pages. They are not those of the API: strangers who knock at them must not keep it from answering.
_THREADS_COUNT = 4
_READING = ("GET", "HEAD")


class OtherPaths:
    """Answers what is not the API."""

    def __init__(
        self,
        *,
        is_healthy: Callable[[], bool],
        metrics: Callable[[], tuple[bytes, str]],
        routes: Routes,
        client_addresses: ClientAddresses,
        body_seconds: float,
        memory: RequestMemory | None = None,
    ) -> None:
        self._routes = routes
        self._client_addresses = client_addresses
        self._threads = ThreadPoolExecutor(_THREADS_COUNT, thread_name_prefix="gateway-page")
        self._pages_count = 0
        self._body_seconds = body_seconds
        self._memory = memory
        # A stuck Redis may hold every other thread: health must still be told, and has a thread whenever it is asked.
        self._probe_threads = ThreadPoolExecutor(2, thread_name_prefix="gateway-probe")
        self._health = SharedLook(self._probe_threads, is_healthy)
        self._metrics = SharedLook(self._probe_threads, metrics)

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)
        self._probe_threads.shutdown(wait=False)

    async def serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        if path in ("/healthz", "/metrics"):
            reply = await self._probe_reply(path) if method in _READING else _wrong_method(_READING)
            await send_reply(send, reply, with_body=method != "HEAD")
            return
        route = self._routes.find(path)
        if route is None or method not in route.methods:
            await send_reply(send, _plain(404, b"not found\n") if route is None else _wrong_method(route.methods))
            return
        await self._serve_route(path, route, scope, receive, send)

    async def _serve_route(self, path: str, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        began_seconds = perf_counter()
        headers = [(name, value) for name, value in scope["headers"]]
        request = HttpRequest(scope["method"], path, scope["query_string"], headers, b"")
        body = RequestBody(
            receive,
            limit_bytes=route.body_bytes,
            limit_seconds=self._body_seconds,
            memory=self._memory,
            head_bytes=request.head_bytes,
        )
        address = self._address_of(scope, request)
        self._pages_count += 1
        try:
            if self._pages_count > PAGES_COUNT:
                raise api_error("ServiceUnavailable", "Too many machines ask at the same time.", retry_after_seconds=5)
            request = replace(request, body=await body.read())
            asked = RouteRequest(
                request,
                address,
                scheme=scope.get("scheme", "http"),
                through_proxy=self._client_addresses.is_proxy(_peer_of(scope)),
            )
            reply = await self._in(self._threads, lambda: route.answer(asked))
        except ClientLeft:
            log_page(request, 499, began_seconds, address)
            return
        except ApiError as error:
            if not body.given_up:
                await body.discard()
            reply = Exchange(request).refused(error)
            if not (body.ended or body.given_up):
                reply = replace(reply, headers={**reply.headers, "connection": "close"})
        except Exception:  # outermost: whatever failed, the client gets an answer and the log the traceback
            logger.exception("page failed path=%s", path)
            reply = _plain(500, b"internal error\n")
        finally:
            self._pages_count -= 1
            body.release()
        await send_reply(send, reply, with_body=request.method != "HEAD")
        log_page(request, reply.http_status, began_seconds, address)

    def _address_of(self, scope: Scope, request: HttpRequest) -> str:
        return self._client_addresses.of_request(scope.get("client"), request)

    async def _probe_reply(self, path: str) -> HttpReply:
        try:
            if path == "/metrics":
                text, content_type = await self._metrics.seen()
                return HttpReply(200, content_type, text, {})
            healthy = await self._health.seen()
        except Exception:  # outermost: as for the API
            logger.exception("probe failed path=%s", path)
            return _plain(500, b"internal error\n")
        status, word = (200, b"true") if healthy else (503, b"false")
        return HttpReply(status, "application/json", b'{"healthy": %s}\n' % word, {})

    @staticmethod
    async def _in(threads: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def _peer_of(scope: Scope) -> str:
    return (scope.get("client") or ("",))[0] or ""


def _plain(http_status: int, text: bytes) -> HttpReply:
    return HttpReply(http_status, "text/plain; charset=utf-8", text, {})


def _wrong_method(methods: Sequence[str]) -> HttpReply:
    allowed = ", ".join(methods)
    return HttpReply(405, "text/plain; charset=utf-8", f"use {allowed}\n".encode(), {"allow": allowed})
