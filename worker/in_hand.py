"""Which executions this process has in hand: the guard against two threads working on one, and the way to stop one."""

import threading
from dataclasses import dataclass
from typing import Protocol


class Stoppable(Protocol):
    """A script that runs."""

    def stop(self) -> None:
        """Ask for its end; returns at once."""


@dataclass
class _Entry:
    script: Stoppable | None = None
    stop_wanted: bool = False


class InHand:
    """A table of executions in hand. ``stop`` is kept for a script that is about to start."""

    def __init__(self) -> None:
        #: Taken by itself on the way of a script: a condition's own way to it is Python code.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._entries: dict[str, _Entry] = {}

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, execution_id: str) -> bool:
        """Take an execution in hand; false when some thread has it already."""
        with self._lock:
            if execution_id in self._entries:
                return False
            self._entries[execution_id] = _Entry()
            return True

    def leave(self, execution_id: str) -> None:
        """Let go of an execution."""
        with self._lock:
            self._entries.pop(execution_id, None)
            self._changed.notify_all()

    def attach(self, execution_id: str, script: Stoppable) -> None:
        """Name the running script of an execution in hand; it is stopped at once when that was asked for before."""
        with self._lock:
            entry = self._entries[execution_id]
            entry.script = script
            stop = entry.stop_wanted
            self._changed.notify_all()
        if stop:
            script.stop()

    def stop(self, execution_id: str) -> bool:
        """Ask for the end of an execution, started or not; false when it is not in hand."""
        with self._lock:
            entry = self._entries.get(execution_id)
            if entry is None:
                return False
            entry.stop_wanted = True
            script = entry.script
        if script is not None:
            script.stop()
        return True

    def wait_until_started(self, within_seconds: float) -> int:
        """Wait until everything in hand runs, or is not in hand any more; return how much of it does not."""
        with self._lock:
            self._changed.wait_for(lambda: not self._unstarted_count, within_seconds)
            return self._unstarted_count

    def stop_wanted(self, execution_id: str) -> bool:
        """Tell whether a stop was asked for."""
        entry = self._entries.get(execution_id)
        return entry is not None and entry.stop_wanted

    @property
    def _unstarted_count(self) -> int:
        return sum(1 for entry in self._entries.values() if entry.script is None)

    @property
    def running_count(self) -> int:
        """How many scripts run now."""
        return sum(1 for entry in list(self._entries.values()) if entry.script is not None)
