"""Every process of the running script, wherever it went: descendants, and members of the control group.

This process is the "subreaper" of its descendants: one whose parent ended becomes our own child, however often it
forked or changed its session. So having no child left proves that nothing of the script is left.
"""

import contextlib
import ctypes
import os
import signal

from ..cgroup import ScriptGroup, members_of
from ..proc_table import ProcessEntry, living, send_signal, with_descendants

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Adopt every orphan among our descendants from now on; tell whether the kernel agreed."""
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


class ScriptTree:
    """The processes of one script, reaped as they end."""

    def __init__(self, main_pid: int, group: ScriptGroup | None, *, is_subreaper: bool) -> None:
        self.main_pid = main_pid
        self.main_status: int | None = None
        self._group = group
        self._is_subreaper = is_subreaper
        self._has_children = True

    def reap(self) -> None:
        """Take note of every process that ended."""
        while self._has_children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._has_children = False
                return
            if pid == 0:
                return
            if pid == self.main_pid:
                self.main_status = status

    def is_empty(self) -> bool:
        """Tell whether nothing of the script lives; call ``reap`` before."""
        return not self._has_children and not self._strangers()

    def left_count(self) -> int:
        """Return how many processes of the script live; call ``reap`` before."""
        if self._is_subreaper and not self._has_children:
            return 0
        return len(self.members())

    def members(self) -> list[ProcessEntry]:
        """Return every living process of the script."""
        if self.is_empty():
            return []
        own_pid = os.getpid()
        found = with_descendants([own_pid, *self._strangers()], living())
        return [entry for entry in found if entry.pid != own_pid]

    def _strangers(self) -> list[int]:
        """Return members of the group; those who are no descendants got there by the script's own doing."""
        if self._group is None:
            return []
        own_pid = os.getpid()
        return [pid for pid in members_of(self._group.path) if pid != own_pid]

    def signal_all(self, number: int) -> int:
        """Send a signal to every living process of the script; return how many lived."""
        found = self.members()
        for entry in found:
            send_signal(entry, number)
        return len(found)

    def kill_all(self) -> None:
        """Kill everything that lives now; what is forked meanwhile needs another call."""
        if self._group is not None:
            self._group.kill()
        self.signal_all(signal.SIGKILL)

    def signal_main(self, number: int) -> None:
        """Send a signal to the main process; nothing when it ended, since it is not reaped behind our back."""
        if self.main_status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.main_pid, number)
