"""Notice, while a reply is postponed, that nobody wants to wait for it any more."""

import asyncio
from types import TracebackType

from starlette.types import Receive


class Interruption:
    """The client leaves, or the gateway stops: whichever comes first."""

    def __init__(self, receive: Receive, stopping: asyncio.Event) -> None:
        self._receive = receive
        self._stopping = stopping
        self._waits: set[asyncio.Future[object]] = set()

    async def __aenter__(self) -> "Interruption":
        # The body has been read, so the next message can only say that the client left.
        self._waits = {
            asyncio.ensure_future(self._receive()),
            asyncio.ensure_future(self._stopping.wait()),
        }
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for wait in self._waits:
            wait.cancel()
        await asyncio.wait(self._waits)

    async def comes_within(self, pause_ms: int) -> bool:
        """Pause, and tell whether the pause was interrupted."""
        done, _ = await asyncio.wait(self._waits, timeout=pause_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
