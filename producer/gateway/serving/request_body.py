"""Read a request's body within limits of size and time."""

import asyncio
import sys
from time import monotonic

from starlette.types import Receive

from ..api_errors import api_error
from .request_memory import RequestMemory

#: How much of an unwanted body is still read and thrown away, as a multiple of the limit. A client that is cut off
#: while it sends sees a broken connection instead of the reply that says why.
DISCARD_FACTOR = 8
#: What whoever is given up for want of room is told.
TOO_MANY_UNFINISHED = "The gateway holds as much of unfinished requests as it may."


class ClientLeft(Exception):
    """The client closed the connection; nobody waits for a reply."""


class RequestBody:
    """The body of one request, taken whole or thrown away; ``ended`` tells whether all of it has come.

    With a ``memory`` it counts there, with the head before it, until it is released.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        limit_bytes: int,
        limit_seconds: float,
        memory: RequestMemory | None = None,
        head_bytes: int = 0,
    ) -> None:
        self.ended = False
        #: Others needed the room; what is still to come is thrown away by whoever reads the connection.
        self.given_up = False
        self._timeout: asyncio.Timeout | None = None
        self._head_bytes = head_bytes
        self._part_of_memory = (memory or RequestMemory(sys.maxsize)).part(self._give_up)
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._limit_seconds = limit_seconds
        self._ends_at_seconds = monotonic() + limit_seconds
        self._received_bytes = 0

    async def read(self) -> bytes:
        """Read the whole body.

        Raises:
            ApiError: ``RequestEntityTooLarge``, ``RequestTimeout``, or ``ServiceUnavailable``: it was given up.
            ClientLeft: the connection ended first.
        """
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._seconds_left()) as self._timeout:
                self._count(is_coming=True)
                while not (self.ended or self.given_up):
                    parts.append(await self._part())
                    self._count(is_coming=True)
                    if self._received_bytes > self._limit_bytes:
                        raise api_error(
                            "RequestEntityTooLarge", f"The request's body is larger than {self._limit_bytes} bytes."
                        )
            if not self.given_up:
                self._count(is_coming=False)
                return b"".join(parts)
        except TimeoutError as exc:
            if not self.given_up:
                detail = f"The body did not arrive within {self._limit_seconds:g} seconds."
                raise api_error("RequestTimeout", detail) from exc
        finally:
            # Who refuses this request still holds the error, and the error this frame.
            parts.clear()
            self._timeout = None
        raise api_error("ServiceUnavailable", TOO_MANY_UNFINISHED, retry_after_seconds=1)

    def release(self) -> None:
        """Count no more: the request is answered."""
        self._part_of_memory.release()

    @property
    def is_unread(self) -> bool:
        """Whether the client may still send some of it, so that the connection can take no other request."""
        return not (self.ended or self.given_up)

    async def discard(self) -> None:
        """Throw away what is still to come, as far as size and time allow; of what was given up others do that."""
        if self.given_up:
            return
        self.release()
        try:
            async with asyncio.timeout(self._seconds_left()):
                while not self.ended and self._received_bytes <= self._limit_bytes * DISCARD_FACTOR:
                    await self._part()
        except TimeoutError:
            return

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part: bytes = message.get("body", b"")
        self.ended = not message.get("more_body", False)
        self._received_bytes += len(part)
        return part

    def _count(self, *, is_coming: bool) -> None:
        self._part_of_memory.hold(self._head_bytes + self._received_bytes, is_coming=is_coming)

    def _give_up(self) -> None:
        self.given_up = True
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    def _seconds_left(self) -> float:
        return max(0.0, self._ends_at_seconds - monotonic())
