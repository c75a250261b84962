"""Signals as values: whether we are asked to end, and how urgently; and a wait that a signal cuts short."""

import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Self


class SignalInbox:
    """Collect signals while the block runs; the handlers from before are back afterwards.

    SIGINT, SIGTERM and SIGHUP (the terminal was closed) ask for the end. A SIGHUP that whoever started us had turned
    off, as ``nohup`` does, stays off. SIGCHLD only wakes ``wait``.
    """

    def __init__(self) -> None:
        #: The signal that came first; "" before.
        self.asked_by = ""
        #: Ctrl-C, when we had been asked before: whoever asks does not want to wait.
        self.insisted = False
        self._reader, self._writer = socket.socketpair()
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    @property
    def asked_to_end(self) -> bool:
        """Whether a signal has asked for the end."""
        return bool(self.asked_by)

    def wait(self, timeout_seconds: float) -> None:
        """Return after the time, or as soon as any of our signals has come."""
        if select.select([self._reader], [], [], timeout_seconds)[0]:
            # All of it: one look answers any number of signals.
            while self._has_more():
                pass

    def _has_more(self) -> bool:
        try:
            return bool(self._reader.recv(4096))
        except BlockingIOError:
            return False

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        # Only Ctrl-C insists: a closed terminal or a service manager sends several signals as a matter of course.
        self.insisted = self.insisted or (self.asked_to_end and number == signal.SIGINT)
        self.asked_by = self.asked_by or signal.Signals(number).name
