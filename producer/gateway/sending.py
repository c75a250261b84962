"""Write replies to an ASGI server."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Send

from .http_messages import HttpReply
from .routes import StreamedReply


async def send_reply(send: Send, reply: HttpReply, *, with_body: bool = True) -> None:
    """Send a complete reply; to HEAD, everything but the body."""
    await _start(send, reply.http_status, reply.content_type, len(reply.body), reply.headers)
    await send({"type": "http.response.body", "body": reply.body if with_body else b""})


async def send_stream(
    send: Send,
    reply: StreamedReply,
    in_thread: Callable[[Callable[[], bytes]], Awaitable[bytes]],
    *,
    with_body: bool = True,
) -> None:
    """Send a reply part by part; the next one is taken only when the client has room for it."""
    await _start(send, reply.http_status, reply.content_type, reply.length_bytes, reply.headers)
    while with_body and (part := await in_thread(lambda: next(reply.parts, b""))):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, http_status: int, content_type: str, length_bytes: int, extra: Mapping[str, str]) -> None:
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(length_bytes).encode("latin-1")),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in extra.items()),
    ]
    await send({"type": "http.response.start", "status": http_status, "headers": headers})
