"""What a supervisor keeps from one script to the next."""

import contextlib
import os

from ..cgroup import ScriptGroup, own_group
from ..proc_table import boot_id, start_ticks_of
from .tree import become_subreaper
from .wakeups import Wakeups

#: One read takes at most this much: large enough for a gigabyte, small enough to stay in the processor's cache.
_READ_BYTES = 256 * 1024


class Workplace:
    """The supervisor's own facts, its signals, its control group and its read buffer."""

    def __init__(self) -> None:
        self.wakeups = Wakeups()
        self.is_subreaper = become_subreaper()
        self.pid = os.getpid()
        self.start_ticks = start_ticks_of(self.pid)
        self.boot_id = boot_id()
        self.group = ScriptGroup.create(own_group(), f"{self.pid}-{self.start_ticks}")
        self.null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.buffer = memoryview(bytearray(_READ_BYTES))

    def make_ready(self) -> None:
        """Be inside the control group again, so that the next script is born there; done while nobody waits."""
        self.wakeups.is_stop_asked = False
        if self.group is not None:
            try:
                self.group.enter()
            except OSError:
                self.leave()

    def leave(self) -> None:
        """Give the control group up; processes that are left in it keep it alive."""
        if self.group is not None:
            with contextlib.suppress(OSError):
                self.group.remove()
            self.group = None
