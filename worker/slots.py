"""The slots of an instance: so many executions at once, each in a thread that follows its supervisor.

Not a ThreadPoolExecutor: that one is joined when the interpreter ends, and an agent must be able to leave while scripts
go on. Threads are made when first needed and kept.
"""

import queue
import threading
from collections.abc import Callable

from ..broker_config.program_log import logger

_log = logger("slots")


class Slots:
    """A fixed number of daemon threads that run what is submitted, in order."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        #: Threads that nothing was given to: counted down by who gives, not by the thread, which wakes up later.
        self._idle_count = 0
        self._thread_count = 0
        self._backlog_count = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run ``work`` as soon as a slot is free."""
        more = False
        with self._lock:
            if self._idle_count:
                self._idle_count -= 1
            elif self._thread_count < self.count:
                self._thread_count += 1
                more = True
            else:
                self._backlog_count += 1
        self._waiting.put(work)
        if more:
            threading.Thread(target=self._serve, name="slot", daemon=True).start()

    @property
    def waiting_count(self) -> int:
        """How much waits for a slot."""
        return self._backlog_count

    @property
    def has_room(self) -> bool:
        """Whether what is submitted now would be worked on at once."""
        return self.free_count > self.waiting_count

    @property
    def free_count(self) -> int:
        """How many slots have nothing to do."""
        return self.count - self._thread_count + self._idle_count

    def _serve(self) -> None:
        while True:
            work = self._waiting.get()
            try:
                work()
            except Exception:  # noqa: BLE001  # outermost: a slot serves the next execution whatever became of this one
                _log.exception("execution thread failed")
            # Not kept until the next execution comes: it holds the last one's output.
            del work
            with self._lock:
                if self._backlog_count:
                    self._backlog_count -= 1
                else:
                    self._idle_count += 1
