"""A script that an earlier agent has started: known by the files in its folder and by its supervisor's pid."""

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from .events import Ended, Event, Started
from .lost import is_supervised, settle_lost
from .output.output_chunk import OutputChunk
from .proc_table import entry_of, send_signal
from .record import OUTPUT_FILE, StartRecord, load_exit, load_output
from .running_script import RunningScript

#: How often the folder is looked at; the supervisor's end is noticed at once.
_LOOK_SECONDS = 0.15
_LIVE_BYTES = 8 * 1024


class AdoptedScript(RunningScript):
    """One execution whose supervisor works on without a connection to this agent.

    Live output is what the supervisor saves twice a second. Stop travels as a signal.
    """

    def __init__(self, folder: Path, start: StartRecord) -> None:
        super().__init__(start.execution_id)
        self._folder = folder
        self._start = start
        self._started: Started | None = Started(start.pid) if start.pid else None
        self._seen_bytes = 0
        self._saved_mark = (0, 0)
        self._pidfd = -1
        with contextlib.suppress(OSError):  # gone already: the first look at the folder settles it
            self._pidfd = os.pidfd_open(start.supervisor_pid)

    def stop(self) -> None:
        """Ask the supervisor to end the script, by a signal that can only hit this supervisor."""
        # For want of a descriptor it is not asked; its row says so still when it is looked at again.
        with contextlib.suppress(OSError):
            supervisor = entry_of(self._start.supervisor_pid) if is_supervised(self._start) else None
            if supervisor is not None and supervisor.start_ticks == self._start.supervisor_start_ticks:
                send_signal(supervisor, signal.SIGUSR1)

    def fileno(self) -> int:
        """Return the supervisor's process descriptor: readable when it has ended, not for output."""
        return self._pidfd

    def close(self) -> None:
        """Forget the script."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _next_event(self, timeout: float | None) -> Event | None:
        if self._started is not None:
            event, self._started = self._started, None
            return event
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # Asked before the folder: a supervisor that is gone by now has written all that it ever will.
            is_gone = not is_supervised(self._start)
            if record := load_exit(str(self._folder)):
                return Ended(record)
            if is_gone:
                return Ended(settle_lost(self._folder, self.execution_id, self._start))
            if chunk := self._saved_output():
                return chunk
            wait_seconds = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, deadline - time.monotonic())
            if wait_seconds <= 0:
                return None
            self._wait(wait_seconds)

    def _wait(self, seconds: float) -> None:
        if self._pidfd < 0:
            time.sleep(seconds)
            return
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.poll(seconds * 1000)

    def _saved_output(self) -> OutputChunk | None:
        try:
            found = (self._folder / OUTPUT_FILE).stat()
        except FileNotFoundError:
            return None
        mark = (found.st_ino, found.st_mtime_ns)
        if mark == self._saved_mark:
            return None
        self._saved_mark = mark
        kept = load_output(str(self._folder))
        chunk = kept.newest_after(self._seen_bytes, _LIVE_BYTES) if kept else None
        if chunk is None or not chunk.frames:
            return None
        self._seen_bytes = chunk.end_bytes
        return chunk


class FinishedScript(RunningScript):
    """An execution that ended while no agent was there to hear it."""

    def __init__(self, folder: Path, execution_id: str) -> None:
        super().__init__(execution_id)
        self._folder = folder

    def stop(self) -> None:
        """Do nothing: it has ended."""

    def fileno(self) -> int:
        """Return -1: there is nothing to wait for."""
        return -1

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _next_event(self, timeout: float | None) -> Event | None:
        return Ended(load_exit(str(self._folder)) or settle_lost(self._folder, self.execution_id))
