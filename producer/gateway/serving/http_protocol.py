"""uvicorn's h11 protocol, with refusals that the SDKs can read, and deadlines for slow heads and unread bodies."""

import asyncio
from enum import Enum, auto
from typing import Any

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..api_errors import ApiError, api_error
from ..exchange import new_request_id
from ..responses import AnswerFormat, error_reply
from .client_patience import ClientPatience
from .connection_places import ConnectionPlaces
from .request_body import TOO_MANY_UNFINISHED
from .request_memory import RequestMemory

#: Lines of a head, or of what may follow a body in chunks. Each takes some 200 bytes, however short it is.
LINES_COUNT = 1_000
#: How long a connection may take to send the head of a request, from the first byte or from being accepted.
HEAD_SECONDS = 30.0
#: How long the rest of a body that nobody reads may take to come, once the reply is out.
UNREAD_BODY_SECONDS = 30.0
#: How long the remaining bytes of a client that was refused, or too slow, are read and dropped. Closing at once while
#: it still sends would reset the connection, and the client would never see the reply.
LINGER_SECONDS = 2.0
#: Over TLS it is looked this often whether all of a last answer is on its way.
_FLUSH_LOOK_SECONDS = 0.1
#: How long a reply may still take to begin once its client has said that it sends no more. Some clients end their side
#: that way and read on; of one that has gone nothing else is seen.
HALF_CLOSED_SECONDS = 5.0
#: When whoever was turned away for want of room may come again.
_SOON_SECONDS = 1
_TOO_MANY_CONNECTIONS = "The gateway has as many connections as it may."


class Owed(Enum):
    """What a client has begun to send, and has to end in time."""

    NOTHING = auto()
    HEAD = auto()
    #: The rest of a body whose request was answered without it.
    BODY = auto()


class CountedLines(ReceiveBuffer):
    """What has come and is not looked at yet; ``has_too_many`` tells whether a head had too many lines to be read."""

    has_too_many = False

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Give the lines of a head that is there whole.

        Raises:
            RemoteProtocolError: there are more than any client sends.
        """
        lines = super().maybe_extract_lines()
        if lines is not None and len(lines) > LINES_COUNT:
            self.has_too_many = True
            raise h11.RemoteProtocolError("too many headers")
        return lines


class CountingConnection(h11.Connection):
    """h11's side of one connection, which counts the bytes that it makes for the client, and the lines of a head."""

    made_bytes = 0

    def __init__(self, our_role: type[h11.CLIENT] | type[h11.SERVER], max_incomplete_event_size: int) -> None:
        super().__init__(our_role, max_incomplete_event_size)
        self._receive_buffer: CountedLines = CountedLines()

    @property
    def has_too_many_lines(self) -> bool:
        """Whether a head was not read for the number of its lines."""
        return self._receive_buffer.has_too_many

    @property
    def received_bytes(self) -> int:
        """How much has come that is no whole event yet, or is not looked at yet."""
        return len(self._receive_buffer)

    @property
    def answers_have_bodies(self) -> bool:
        """Whether the present request is another than HEAD."""
        return self._request_method != b"HEAD"

    def forget_received(self) -> None:
        """Let go of that; to be called once this side has said its last."""
        self._receive_buffer = CountedLines()

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Give what has come next; of a body with two lengths it cannot be told where the next request begins.

        Raises:
            RemoteProtocolError: that, or what h11 has against it.
        """
        event = super().next_event()
        if isinstance(event, h11.Request) and {b"content-length", b"transfer-encoding"} <= dict(event.headers).keys():
            raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        return event

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Turn an event into bytes; ``send`` is made of this."""
        made = super().send_with_data_passthrough(event)
        self.made_bytes += sum(map(len, made or ()))
        return made


class GatewayProtocol(H11Protocol):
    """One connection. h11 and not httptools: the latter refuses request lines over 64 KB, which SDKs do send."""

    #: What carries the connection where that is over TLS.
    beneath_tls: asyncio.Transport | None = None

    def __init__(self, *args: Any, places: ConnectionPlaces, memory: RequestMemory, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places
        self._held = memory.part(self._give_up)
        self.conn: CountingConnection = CountingConnection(h11.SERVER, self.config.h11_max_incomplete_event_size or 0)
        self._owes = Owed.NOTHING
        self._deadline: asyncio.TimerHandle | None = None
        self._linger_end: asyncio.TimerHandle | None = None
        self._is_half_closed = False
        self._half_closed_end: asyncio.TimerHandle | None = None
        self._patience = ClientPatience()
        self._patience_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first request."""
        super().connection_made(transport)
        # "Paused" then means that something waits for the client, and "resumed" that it has taken all of that.
        transport.set_write_buffer_limits(high=1, low=0)
        if self._places.enter(self):
            self._set_deadline()
        else:
            self._refuse(api_error("ServiceUnavailable", _TOO_MANY_CONNECTIONS, retry_after_seconds=_SOON_SECONDS))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and leave room for others."""
        self._places.leave(self)
        self._held.release()
        self._stop(self._deadline)
        self._stop(self._linger_end)
        self._stop(self._half_closed_end)
        self._stop(self._patience_end)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and keep a deadline running exactly while the client owes us something."""
        if self._linger_end is not None:
            return
        super().data_received(data)
        self._set_deadline()
        if self._linger_end is None:
            self._held.hold(self.conn.received_bytes, is_coming=self._owes is Owed.HEAD)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for replies under way, for a while; TLS cannot end one side alone."""
        is_whole = self.conn.their_state is not h11.SEND_BODY
        self._is_half_closed = self._is_answering and is_whole and self.transport.get_extra_info("ssl_object") is None
        if self._is_half_closed:
            self._half_closed_end = self.loop.call_later(HALF_CLOSED_SECONDS, self._end_unless_begun)
        return self._is_half_closed

    def on_response_complete(self) -> None:
        """Give what may still come of the request's body a deadline: nobody reads it any more."""
        super().on_response_complete()
        self._close_beneath()
        if self._is_half_closed and not self._is_answering:
            self.transport.close()
            return
        self._set_deadline()
        self._held.hold(self.conn.received_bytes, is_coming=self._owes is Owed.HEAD)

    def shutdown(self) -> None:
        """End once the request under way is answered, or at once: the server stops."""
        super().shutdown()
        self._close_beneath()

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
        limit_bytes = self.config.h11_max_incomplete_event_size or 0
        is_too_large = self.conn.received_bytes > limit_bytes or self.conn.has_too_many_lines
        self._refuse(api_error("RequestHeaderTooLarge" if is_too_large else "MalformedRequest"))

    def make_way(self) -> None:
        """End at once: a newcomer needs the place."""
        self.transport.abort()

    def _give_up(self) -> None:
        """Let go of a head that has not come whole: others need the room."""
        self._refuse(api_error("ServiceUnavailable", TOO_MANY_UNFINISHED, retry_after_seconds=_SOON_SECONDS))

    def _refuse(self, error: ApiError) -> None:
        """Say why, in the API's own shape, before a request has come whole, and end the connection."""
        self._held.release()
        if self.cycle is not None:
            # Whoever is about to answer the request would find that it has been answered.
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        reply = error_reply(error, "", new_request_id(), AnswerFormat.JSON).closing()
        headers = [
            ("content-type", reply.content_type),
            ("content-length", str(reply.body_bytes)),
            *reply.headers.items(),
        ]
        if error.retry_after_seconds is not None:
            headers.append(("retry-after", str(error.retry_after_seconds)))
        self.transport.write(self.conn.send(h11.Response(status_code=error.http_status, headers=headers)) or b"")
        if self.conn.answers_have_bodies:
            self.transport.write(self.conn.send(h11.Data(data=reply.body)) or b"")
        self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
        self.conn.forget_received()
        self._linger_then_close()

    def _set_deadline(self) -> None:
        """Have the deadline run that fits what the client owes now; one that runs for the same thing goes on."""
        if self.transport.is_closing() or self._linger_end is not None:
            return
        owes = self._owed_now()
        is_idle = owes is Owed.NOTHING and not self._is_answering
        self._places.mark(self, owes_head=owes is Owed.HEAD, is_idle=is_idle)
        if owes is not self._owes:
            self._stop(self._deadline)
            self._owes = owes
            self._deadline = None
            if owes is Owed.HEAD:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)
            elif owes is Owed.BODY:
                self._deadline = self.loop.call_later(UNREAD_BODY_SECONDS, self._linger_then_close)
        if is_idle and self.timeout_keep_alive_task is None:
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
        return Owed.HEAD if self.cycle is None or self.conn.received_bytes else Owed.NOTHING

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _linger_then_close(self) -> None:
        self._places.mark(self, owes_head=True, is_idle=False)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # A body that came faster than it was read had stopped that.
        self.flow.resume_reading()
        self._linger_end = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _end_unless_begun(self) -> None:
        # Of a reply that has begun, a client that has gone is noticed, and one that is slow is given its time.
        if self.cycle is None or not self.cycle.response_started:
            self.transport.close()

    def _close_beneath(self) -> None:
        # Over TLS asyncio would wait half a minute for the client's farewell, and one that is idle says none.
        beneath = self.beneath_tls
        if beneath is None or beneath.is_closing() or not self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            # What is not encrypted yet would be lost: since Python 3.12 a transport that was closed takes nothing more.
            self.loop.call_later(_FLUSH_LOOK_SECONDS, self._close_beneath)
        else:
            beneath.close()

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
