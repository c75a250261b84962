"""uvicorn's h11 protocol, with refusals that the SDKs can read, and deadlines for slow heads and unread bodies."""

import asyncio
import uuid
from enum import Enum, auto
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from .api_errors import api_error
from .client_patience import ClientPatience

#: How long a connection may take to send the head of a request, from the first byte or from being accepted.
HEAD_SECONDS = 30.0
#: How long the rest of a body that nobody reads may take to come, once the reply is out.
UNREAD_BODY_SECONDS = 30.0
#: How long the remaining bytes of a client that was refused, or too slow, are read and dropped. Closing at once while
#: it still sends would reset the connection, and the client would never see the reply.
LINGER_SECONDS = 2.0


class Owed(Enum):
    """What a client has begun to send, and has to end in time."""

    NOTHING = auto()
    HEAD = auto()
    #: The rest of a body whose request was answered without it.
    BODY = auto()


class CountingConnection(h11.Connection):
    """h11's side of one connection, which counts the bytes that it makes for the client."""

    made_bytes = 0

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Turn an event into bytes; ``send`` is made of this."""
        made = super().send_with_data_passthrough(event)
        self.made_bytes += sum(map(len, made or ()))
        return made


class GatewayProtocol(H11Protocol):
    """One connection. h11 and not httptools: the latter refuses request lines over 64 KB, which SDKs do send."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn: CountingConnection = CountingConnection(h11.SERVER, self.config.h11_max_incomplete_event_size or 0)
        self._owes = Owed.NOTHING
        self._deadline: asyncio.TimerHandle | None = None
        self._linger_end: asyncio.TimerHandle | None = None
        self._patience = ClientPatience()
        self._patience_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first request."""
        super().connection_made(transport)
        # "Paused" then means that something waits for the client, and "resumed" that it has taken all of that.
        transport.set_write_buffer_limits(high=1, low=0)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop(self._deadline)
        self._stop(self._linger_end)
        self._stop(self._patience_end)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and keep a deadline running exactly while the client owes us something."""
        if self._linger_end is not None:
            return
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        """Give what may still come of the request's body a deadline: nobody reads it any more."""
        super().on_response_complete()
        self._set_deadline()

    def pause_writing(self) -> None:
        """Let the client's time pass while something waits for it, whichever path that came from."""
        super().pause_writing()
        self._wait_for_client(self._patience.begin(self._taken_bytes, self.loop.time()))

    def resume_writing(self) -> None:
        """The client has taken everything."""
        self._stop(self._patience_end)
        self._patience.look(self._taken_bytes, self.loop.time())
        super().resume_writing()

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
        self._linger_then_close()

    def _set_deadline(self) -> None:
        """Have the deadline run that fits what the client owes now; one that runs for the same thing goes on."""
        if self.transport.is_closing() or self._linger_end is not None:
            return
        owes = self._owed_now()
        if owes is not self._owes:
            self._stop(self._deadline)
            self._owes = owes
            self._deadline = None
            if owes is Owed.HEAD:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)
            elif owes is Owed.BODY:
                self._deadline = self.loop.call_later(UNREAD_BODY_SECONDS, self._linger_then_close)
        if owes is Owed.NOTHING and not self._is_answering and self.timeout_keep_alive_task is None:
            # uvicorn ends its wait for the next request with any byte, also with the last one of an unread body.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _owed_now(self) -> Owed:
        if self._is_answering:
            # Whoever answers sees to the body, and to how long that may take.
            return Owed.NOTHING
        if self.conn.their_state is h11.SEND_BODY:
            return Owed.BODY
        return Owed.HEAD if self.cycle is None or self.conn.trailing_data[0] else Owed.NOTHING

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _linger_then_close(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger_end = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    @property
    def _taken_bytes(self) -> int:
        return self.conn.made_bytes - self.transport.get_write_buffer_size()

    def _wait_for_client(self, left_seconds: float) -> None:
        self._patience_end = self.loop.call_later(left_seconds, self._look_at_client)

    def _look_at_client(self) -> None:
        left_seconds = self._patience.look(self._taken_bytes, self.loop.time())
        if left_seconds > 0:
            self._wait_for_client(left_seconds)
        else:
            # A close would wait until the client has taken it all.
            self.transport.abort()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
