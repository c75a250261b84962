"""The slots of an instance: how many executions run at once, each in a thread that follows its supervisor.

Not a ThreadPoolExecutor: that one is joined when the interpreter ends, and an agent must be able to leave while scripts
go on. Threads are made when first needed and kept.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable

from ..broker_config.programs.program_log import logger

_log = logger("slots")

Work = Callable[[], None]


class Slots:
    """A fixed number of daemon threads that run what is submitted, in order.

    Of those that wait, the one that worked last is given the next: what it touches is still in the processor's caches.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()
        #: Where each thread that waits is handed its next work, the one that worked last at the end.
        self._idle: list[queue.SimpleQueue[Work]] = []
        self._thread_count = 0
        self._backlog: deque[Work] = deque()
        self._keeps_backlog = True

    def start(self) -> None:
        """Have one thread from the beginning, which serves what waits also where no other can be started.

        Raises:
            RuntimeError: not even this one can be.
        """
        self.submit(lambda: None)

    def submit(self, work: Work) -> None:
        """Run ``work`` as soon as a slot is free."""
        with self._lock:
            if self._idle or self._thread_count >= self.count:
                self._hand_on(work)
                return
            self._thread_count += 1
        try:
            threading.Thread(target=self._serve, args=[work], name="slot", daemon=True).start()
        except RuntimeError as exc:
            # Scripts have taken the last process that their user, or a container, may have.
            with self._lock:
                self._thread_count -= 1
                if not self._thread_count:
                    raise
                self._hand_on(work)
            _log.warning("an execution waits for one of the slots at work: %s", exc)

    def _hand_on(self, work: Work) -> None:
        """Give work to a thread that waits, or to the next that does; the caller holds the lock."""
        if self._idle:
            self._idle.pop().put(work)
        elif self._keeps_backlog:
            self._backlog.append(work)

    def drop_waiting(self) -> None:
        """Begin nothing that waits for a slot, now or later; the next agent finds it in the ledger or on disk."""
        with self._lock:
            self._keeps_backlog = False
            self._backlog.clear()

    @property
    def waiting_count(self) -> int:
        """How much waits for a slot."""
        return len(self._backlog)

    @property
    def has_room(self) -> bool:
        """Whether what is submitted now would be worked on at once."""
        return self.free_count > self.waiting_count

    @property
    def free_count(self) -> int:
        """How many slots have nothing to do."""
        return self.count - self._thread_count + len(self._idle)

    def _serve(self, work: Work | None) -> None:
        given: queue.SimpleQueue[Work] = queue.SimpleQueue()
        while True:
            work = work or given.get()
            try:
                work()
            except Exception:  # noqa: BLE001  # outermost: a slot serves the next execution whatever became of this one
                _log.exception("execution thread failed")
            # Not kept until the next execution comes: it holds the last one's output.
            work = None
            with self._lock:
                if self._backlog:
                    work = self._backlog.popleft()
                else:
                    self._idle.append(given)
