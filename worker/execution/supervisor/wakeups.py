"""Signals turned into something a loop can wait on."""

import os
import signal
from types import FrameType

#: Sent by an agent that has no connection to this supervisor, because it started after it.
STOP_SIGNAL = signal.SIGUSR1


class Wakeups:
    """A descriptor that becomes readable when a child changed or a stop was asked for by signal.

    Handlers, not "ignore": an ignored signal stays ignored in the scripts we start, a handled one does not. The
    signals of a terminal and of a service manager are only noted, since a supervisor ends when its script does.
    """

    def __init__(self) -> None:
        self.is_stop_asked = False
        self.is_end_asked = False
        self._read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._note_nothing)
        # Whoever opens a script's file at the moment in which it is emptied would end us otherwise.
        signal.signal(signal.SIGIO, self._note_nothing)
        signal.signal(STOP_SIGNAL, self._note_stop)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_end)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._read_fd

    def clear(self) -> None:
        """Make the descriptor unreadable until the next signal."""
        try:
            os.read(self._read_fd, 4096)
        except BlockingIOError:
            return

    def _note_nothing(self, number: int, frame: FrameType | None) -> None:
        """Do nothing: that there is a handler makes the wake-up."""

    def _note_stop(self, number: int, frame: FrameType | None) -> None:
        self.is_stop_asked = True

    def _note_end(self, number: int, frame: FrameType | None) -> None:
        self.is_end_asked = True
