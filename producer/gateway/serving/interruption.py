"""Notice, while a reply is postponed, that nobody wants to wait for it any more."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
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

    async def comes_within(
        self, pause_ms: int, listen: Callable[[Callable[[], None]], Callable[[], None]] | None = None
    ) -> bool:
        """Pause, and tell whether the pause was interrupted; what ``listen`` hears ends the pause early."""
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leave = listen(_ringer(rung)) if listen is not None else None
        try:
            waits: set[asyncio.Future[object] | asyncio.Future[None]] = {*self._waits, rung}
            await asyncio.wait(waits, timeout=pause_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if leave is not None:
                leave()
            rung.cancel()
        return any(wait.done() for wait in self._waits)


def _ringer(rung: "asyncio.Future[None]") -> Callable[[], None]:
    loop = rung.get_loop()

    def set_result() -> None:
        if not rung.done():
            rung.set_result(None)

    def ring() -> None:
        # The loop of a gateway that has stopped takes nothing any more, and nobody waits there.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(set_result)

    return ring
