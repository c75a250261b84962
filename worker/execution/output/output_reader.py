"""The thread of the agent that reads one stream of a script."""

import select
import threading
from collections.abc import Callable
from typing import IO

_READ_BYTES = 64 * 1024


class OutputReader(threading.Thread):
    """Hands on what a script writes, until nobody holds the stream open any more.

    Where the system tells, whoever waits for it learns whether it is behind: it may lack the processor for a while.
    """

    def __init__(self, pipe: IO[bytes], hand_on: Callable[[bytes], None]) -> None:
        super().__init__(name="script-output", daemon=True)
        self._pipe = pipe
        self._fd = pipe.fileno()
        self._hand_on = hand_on
        self._has_in_hand = False

    def run(self) -> None:
        """Read to the end."""
        with self._pipe:
            while data := self._next():
                self._hand_on(data)
                self._has_in_hand = False

    def is_behind(self) -> bool:
        """Tell whether something that was written is not handed on yet; false where the system does not tell."""
        # In this order: what left the pipe before the first look is in hand at the second, or handed on.
        return self._is_readable(0) or self._has_in_hand

    def _next(self) -> bytes:
        if self._is_readable(None):
            self._has_in_hand = True
        return self._pipe.read(_READ_BYTES)

    def _is_readable(self, wait_ms: int | None) -> bool:
        if not hasattr(select, "poll"):
            return False  # Windows waits for sockets only
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(wait_ms))
