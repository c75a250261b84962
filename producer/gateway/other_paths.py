"""Every path but the API's: health and metrics for the people who run the gateway, and the routes."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter

from starlette.types import Receive, Scope, Send

from .access_log import log_page
from .api_errors import ApiError, api_error
from .exchange import Exchange
from .routes import Route, RouteRequest, Routes
from .serving.client_address import ClientAddresses
from .serving.http_messages import HttpReply, HttpRequest, text_reply
from .serving.request_body import ClientLeft, RequestBody
from .serving.request_memory import RequestMemory
from .serving.sending import send_reply
from .shared_look import SharedLook

logger = logging.getLogger(__name__)

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
        route = self._routes.get(path)
        if route is None or method not in route.methods:
            await send_reply(send, text_reply(404, "not found\n") if route is None else _wrong_method(route.methods))
            return
        await self._serve_route(path, route, scope, receive, send)

    async def _serve_route(self, path: str, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        began_seconds = perf_counter()
        request = HttpRequest.of(scope, path)
        body = RequestBody(
            receive,
            limit_bytes=route.body_bytes,
            limit_seconds=self._body_seconds,
            memory=self._memory,
            head_bytes=request.head_bytes,
        )
        address = self._client_addresses.of_request(scope.get("client"), request)
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
            reply = await asyncio.get_running_loop().run_in_executor(self._threads, route.answer, asked)
        except ClientLeft:
            log_page(request, 499, began_seconds, address)
            return
        except ApiError as error:
            await body.discard()
            reply = Exchange(request).refused(error)
            reply = reply.closing() if body.is_unread else reply
        except Exception:  # outermost: whatever failed, the client gets an answer and the log the traceback
            logger.exception("page failed path=%s", path)
            reply = text_reply(500, "internal error\n")
        finally:
            self._pages_count -= 1
            body.release()
        await send_reply(send, reply, with_body=request.method != "HEAD")
        log_page(request, reply.http_status, began_seconds, address)

    async def _probe_reply(self, path: str) -> HttpReply:
        try:
            if path == "/metrics":
                text, content_type = await self._metrics.seen()
                return HttpReply(200, content_type, text, {})
            healthy = await self._health.seen()
        except Exception:  # outermost: as for the API
            logger.exception("probe failed path=%s", path)
            return text_reply(500, "internal error\n")
        status, word = (200, b"true") if healthy else (503, b"false")
        return HttpReply(status, "application/json", b'{"healthy": %s}\n' % word, {})


def _peer_of(scope: Scope) -> str:
    return (scope.get("client") or ("",))[0] or ""


def _wrong_method(methods: Sequence[str]) -> HttpReply:
    allowed = ", ".join(methods)
    return text_reply(405, f"use {allowed}\n", {"allow": allowed})
