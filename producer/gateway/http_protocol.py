"""uvicorn's h11 protocol, with refusals that the SDKs can read and a deadline for slow request heads."""

import asyncio
import uuid
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from .api_errors import api_error

#: How long a connection may take to send the head of a request, from the first byte or from being accepted.
HEAD_SECONDS = 30.0
#: How long a refused client's remaining bytes are read and dropped. Closing at once while it still sends would
#: reset the connection, and the client would never see the reply.
LINGER_SECONDS = 2.0


class GatewayProtocol(H11Protocol):
    """One connection. h11 and not httptools: the latter refuses request lines over 64 KB, which SDKs do send."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_deadline: asyncio.TimerHandle | None = None
        self._linger_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first request."""
        super().connection_made(transport)
        self._head_deadline = self.loop.call_later(HEAD_SECONDS, self._close_slow_client)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop(self._head_deadline)
        self._stop(self._linger_end)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and keep a deadline running exactly while a request's head is incomplete."""
        if self._linger_end is not None:
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop(self._head_deadline)
            self._head_deadline = None
        elif self._head_deadline is None and self.conn.trailing_data[0]:
            self._head_deadline = self.loop.call_later(HEAD_SECONDS, self._close_slow_client)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or is too large a head, in the API's own shape."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        received_bytes = len(self.conn.trailing_data[0])
        limit_bytes = self.config.h11_max_incomplete_event_size or 0
        error = api_error("RequestHeaderTooLarge" if received_bytes > limit_bytes else "MalformedRequest")
        request_id = str(uuid.uuid4()).upper()
        body = msgspec.json.encode(
            {
                "RequestId": request_id,
                "HostId": "",
                "Code": error.code,
                "Message": error.message,
                "Recommend": "",
            }
        )
        headers = [
            ("content-type", "application/json;charset=utf-8"),
            ("content-length", str(len(body))),
            ("x-acs-request-id", request_id),
            ("connection", "close"),
        ]
        self.transport.write(self.conn.send(h11.Response(status_code=error.http_status, headers=headers)) or b"")
        self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
        self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger_end = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _close_slow_client(self) -> None:
        self.transport.close()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
