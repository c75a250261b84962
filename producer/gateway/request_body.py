"""Read a request's body within limits of size and time."""

import asyncio
from time import monotonic

from starlette.types import Receive

from .api_errors import api_error

#: How much of an unwanted body is still read and thrown away, as a multiple of the limit. A client that is cut off
#: while it sends sees a broken connection instead of the reply that says why.
DISCARD_FACTOR = 8


class ClientLeft(Exception):
    """The client closed the connection; nobody waits for a reply."""


class RequestBody:
    """The body of one request, taken whole or thrown away; ``ended`` tells whether all of it has come."""

    def __init__(self, receive: Receive, *, limit_bytes: int, limit_seconds: float) -> None:
        self.ended = False
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._limit_seconds = limit_seconds
        self._ends_at_seconds = monotonic() + limit_seconds
        self._received_bytes = 0

    async def read(self) -> bytes:
        """Read the whole body.

        Raises:
            ApiError: ``RequestEntityTooLarge`` or ``RequestTimeout``.
            ClientLeft: the connection ended first.
        """
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._seconds_left()):
                while not self.ended:
                    parts.append(await self._part())
                    if self._received_bytes > self._limit_bytes:
                        raise api_error(
                            "RequestEntityTooLarge", f"The request's body is larger than {self._limit_bytes} bytes."
                        )
        except TimeoutError as exc:
            detail = f"The body did not arrive within {self._limit_seconds:g} seconds."
            raise api_error("RequestTimeout", detail) from exc
        return b"".join(parts)

    async def discard(self) -> None:
        """Throw away what is still to come, as far as size and time allow."""
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

    def _seconds_left(self) -> float:
        return max(0.0, self._ends_at_seconds - monotonic())
