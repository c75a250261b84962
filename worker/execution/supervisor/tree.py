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
_MOST_REAPED = 500


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
        self.may_have_more_to_reap = False

    def reap(self) -> None:
        """Take note of processes that ended.

        Not of all at once: a fork storm gives its orphans to us faster than we can bury them, and its deadline has
        to be noticed in between.
        """
        self.may_have_more_to_reap = False
        if not self._has_children:
            return
        for _ in range(_MOST_REAPED):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._has_children = False
                return
            if pid == 0:
                return
            if pid == self.main_pid:
                self.main_status = status
        self.may_have_more_to_reap = True

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

    def ask_all_to_end(self) -> int:
        """Send SIGTERM to every living process of the script; return how many lived.

        They are frozen meanwhile, where the kernel can, so that none forks behind our back and the count is exact.
        """
        is_frozen = self._group is not None and self._group.freeze()
        try:
            return self._signal_members(signal.SIGTERM)
        finally:
            if is_frozen and self._group is not None:
                self._group.thaw()

    def kill_all(self) -> None:
        """Kill everything that lives now; what is forked meanwhile needs another call."""
        if self._group is not None:
            self._group.kill()
        self._signal_members(signal.SIGKILL)

    def _signal_members(self, number: int) -> int:
        found = self.members()
        for entry in found:
            send_signal(entry, number)
        return len(found)

    def signal_main(self, number: int) -> int:
        """Send a signal to the main process; return 1, or 0 when it has ended: only we can free its number."""
        if self.main_status is not None:
            return 0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.main_pid, number)
        return 1
