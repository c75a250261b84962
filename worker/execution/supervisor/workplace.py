"""What a supervisor keeps from one script to the next."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH123

import contextlib
import os

from ..cgroup import ScriptGroup, own_group
from ..proc_table import boot_id, start_ticks_of
from .script_folder import ScriptFolder
from .tree import become_subreaper
from .wakeups import Wakeups

#: One read takes at most this much: large enough for a gigabyte, small enough to stay in the processor's cache.
_READ_BYTES = 256 * 1024
#: Just short of "never": a supervisor whose memory runs away must not take the machine along.
_PROTECTED_OOM_SCORE = -900
#: Whatever protection the agent's service has, a script is as expendable as anything else.
_ORDINARY_OOM_SCORE = 0


class Workplace:
    """The supervisor's own facts, its signals, its control group, its folder and its read buffer."""

    def __init__(self) -> None:
        self.wakeups = Wakeups()
        self.is_subreaper = become_subreaper()
        self.pid = os.getpid()
        self.start_ticks = start_ticks_of(self.pid)
        self.boot_id = boot_id()
        name = f"{self.pid}-{self.start_ticks}"
        self.group = ScriptGroup.create(own_group(), name)
        self.folder = ScriptFolder(name)
        self._is_protected = True  # for all we know: inherited from the agent's service
        self.null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.buffer = memoryview(bytearray(_READ_BYTES))

    def protect(self) -> None:
        """Ask the kernel to spare this process when memory runs out: what it watches is the likelier cause.

        Not before the script was born, which would inherit it. Only root may ask.
        """
        self._is_protected = _write_oom_score(_PROTECTED_OOM_SCORE)

    def make_ready(self) -> None:
        """Be inside the control group again, so that the next script is born there; done while nobody waits."""
        self.wakeups.is_stop_asked = False
        if self._is_protected:
            self._is_protected = not _write_oom_score(_ORDINARY_OOM_SCORE)
        if self.group is not None:
            try:
                self.group.enter()
            except OSError:
                self._leave_group()

    def leave(self) -> None:
        """Give folder and control group up; processes that are left in the latter keep it alive."""
        self.folder.leave()
        self._leave_group()

    def _leave_group(self) -> None:
        if self.group is not None:
            with contextlib.suppress(OSError):
                self.group.remove()
            self.group = None


def _write_oom_score(score: int) -> bool:
    """Tell whether the kernel took it."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError:
        return False
    return True
