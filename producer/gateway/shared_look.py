"""One look at what changes slowly, for all who ask while it lasts."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class SharedLook(Generic[Seen]):
    """Looks in a thread; whoever asks while somebody looks gets what that one sees.

    So strangers who ask very often hold one thread, and cost Redis no more than one who asks all the time.
    """

    def __init__(self, threads: Executor, look: Callable[[], Seen]) -> None:
        self._threads = threads
        self._look = look
        self._under_way: asyncio.Future[Seen] | None = None

    async def seen(self) -> Seen:
        """Give what is seen, or raise what the look raises."""
        if self._under_way is None:
            self._under_way = asyncio.get_running_loop().run_in_executor(self._threads, self._look)
            self._under_way.add_done_callback(self._ended)
        # One who leaves must not take it from the others.
        return await asyncio.shield(self._under_way)

    def _ended(self, _: "asyncio.Future[Seen]") -> None:
        self._under_way = None
