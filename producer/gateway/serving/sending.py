"""Write replies to an ASGI server."""

from starlette.types import Send

from .http_messages import HttpReply


async def send_reply(send: Send, reply: HttpReply, *, with_body: bool = True) -> None:
    """Send a complete reply; to HEAD, everything but the body."""
    headers = [
        (b"content-type", reply.content_type.encode("latin-1")),
        (b"content-length", str(reply.body_bytes).encode("latin-1")),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.http_status, "headers": headers})
    body, more = (reply.body, reply.more) if with_body else (b"", None)
    await send({"type": "http.response.body", "body": body, "more_body": bool(more)})
    while more:
        body = more.popleft()
        await send({"type": "http.response.body", "body": body, "more_body": bool(more)})
