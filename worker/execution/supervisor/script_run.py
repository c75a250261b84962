"""One script from its first process to its exit record: the loop of a supervisor that is at work."""

import contextlib
import fcntl
import math
import os
import select
from collections.abc import Callable

from ..channel import Channel, Kind
from ..output.frame_log import STDERR, STDOUT
from ..output.kept_output import KeptOutput
from ..output.masking import Mask
from ..plan import Plan
from ..record import ExitRecord
from ..verdict import EndReason, judge
from .child import Child
from .clocks import RunClock
from .outlets import Outlets
from .termination import Termination
from .tree import ScriptTree
from .wakeups import Wakeups

#: A timer stands still while the machine sleeps and a deadline does not: look at the clock this often at least.
_LONGEST_WAIT_SECONDS = 10.0
#: A script that ends sooner is announced by its record alone, and its output is read when it has ended: one wake-up
#: instead of three for the shortest scripts. One that fills its pipe sooner waits no longer than this.
_ANNOUNCE_SECONDS = 0.005
#: How long a process may take from the end of its output to its own.
_ENDING_SECONDS = 0.1
#: A pipe as Linux makes it; reading this much at once means that the script was waiting for us.
_FULL_PIPE_BYTES = 64 * 1024
#: What Linux grants everybody.
_LARGE_PIPE_BYTES = 1024 * 1024


class ScriptRun:
    """The script that this supervisor has started."""

    def __init__(
        self,
        plan: Plan,
        child: Child,
        tree: ScriptTree,
        clock: RunClock,
        *,
        channel: Channel,
        wakeups: Wakeups,
        announce: Callable[[], None],
    ) -> None:
        self._kept = KeptOutput(plan.output_limit_bytes)
        self._outlets = Outlets(self._kept, plan.folder, clock)
        self._plan = plan
        self._child = child
        self._tree = tree
        self._clock = clock
        self._channel: Channel | None = channel
        self._wakeups = wakeups
        self._masks = {stream: Mask(plan.masked) for stream in (STDOUT, STDERR)} if plan.masked else {}
        self._streams = {child.stdout_fd: STDOUT, child.stderr_fd: STDERR}
        self._enlarged: set[int] = set()
        self._ending: Termination | None = None
        self._deadline_at = plan.timeout_seconds or math.inf
        self._drain_until = math.inf
        self._announce_at = _ANNOUNCE_SECONDS
        self._announce = announce
        self._main_ended_ms = 0
        self._poll = select.poll()
        self._poll.register(wakeups.fileno(), select.POLLIN)
        self._is_watching = False

    def to_its_end(self, buffer: memoryview) -> ExitRecord:
        """Read, watch and, where it must be, end the script; return how it went.

        The pipes of background processes that are left stay open in ``open_streams``.
        """
        while not self._is_over():
            for fd, event in self._poll.poll(self._wait_ms()):
                self._serve(fd, event, buffer)
            if self._tree.may_have_more_to_reap:
                self._tree.reap()
            now = self._clock.elapsed_seconds()
            self._notice_end_of_main(now)
            if now >= self._announce_at:
                self._announce_at = math.inf
                self._watch()
                self._announce()
            self._end_when_due(now)
            self._outlets.serve(now, self._channel)
        self._take_rest(buffer)
        for stream, mask in self._masks.items():
            self._kept.feed(stream, mask.finish())
        self._kept.finish()
        return self._record()

    @property
    def open_streams(self) -> list[int]:
        """Return the pipes that something of the script still holds."""
        return list(self._streams)

    @property
    def has_saved_output(self) -> bool:
        """Tell whether a copy of the output is on disk."""
        return self._outlets.is_saved

    def _is_over(self) -> bool:
        if self._ending is not None and not self._ending.is_done:
            return False
        if self._tree.main_status is None and self._ending is None:
            return False
        return not self._streams or self._clock.elapsed_seconds() >= self._drain_until

    def _wait_ms(self) -> int:
        due = [self._drain_until, self._announce_at]
        if self._ending is not None:
            due.append(self._ending.due_at if not self._ending.is_done else math.inf)
        elif self._tree.main_status is None:
            due.append(self._deadline_at)
        if (outlets_due_at := self._outlets.due_at()) is not None:
            due.append(outlets_due_at)
        if self._tree.may_have_more_to_reap:
            return 0
        wait_seconds = min(min(due) - self._clock.elapsed_seconds(), _LONGEST_WAIT_SECONDS)
        return max(0, math.ceil(wait_seconds * 1000))

    def _watch(self) -> None:
        """Take what the script writes and what the agent says as it comes, from now on."""
        if self._is_watching:
            return
        self._is_watching = True
        for fd in self._streams:
            self._poll.register(fd, select.POLLIN)
        if self._channel is not None:
            self._poll.register(self._channel.fileno(), select.POLLIN)

    def _serve(self, fd: int, event: int, buffer: memoryview) -> None:
        if stream := self._streams.get(fd):
            self._read(fd, stream, event, buffer)
        elif fd == self._wakeups.fileno():
            self._wakeups.clear()
            self._tree.reap()
        else:
            self._hear_agent()

    def _read(self, fd: int, stream: int, event: int, buffer: memoryview) -> None:
        count = os.readv(fd, [buffer]) if event & select.POLLIN else 0
        if count:
            if count >= _FULL_PIPE_BYTES and fd not in self._enlarged:
                self._enlarged.add(fd)
                _enlarge(fd)
            mask = self._masks.get(stream)
            self._kept.feed(stream, buffer[:count] if mask is None else mask.feed(buffer[:count]))
            self._outlets.note_output(self._clock.elapsed_seconds())
        # Nobody writes any more, and a reading that was not full took all there was.
        if not count or (event & select.POLLHUP and count < len(buffer)):
            self._poll.unregister(fd)
            del self._streams[fd]
            os.close(fd)

    def _take_rest(self, buffer: memoryview) -> None:
        """Read what lies in pipes that something holds open: it was written in time, however late we came to look.

        No more than a pipe holds, since whoever was left behind may write on.
        """
        for _ in range(_LARGE_PIPE_BYTES // len(buffer)):
            ready = [(fd, event) for fd, event in self._poll.poll(0) if fd in self._streams] if self._streams else []
            if not ready:
                return
            for fd, event in ready:
                self._read(fd, self._streams[fd], event, buffer)

    def _hear_agent(self) -> None:
        channel = self._channel
        if channel is None:
            return
        message = channel.receive()
        if message is None:
            # The agent is gone. The script goes on, and its record will wait on disk.
            self._poll.unregister(channel.fileno())
            self._channel = None
        elif message.kind == Kind.STOP:
            self._wakeups.is_stop_asked = True

    def _notice_end_of_main(self, now: float) -> None:
        if self._tree.main_status is None or self._main_ended_ms:
            return
        self._main_ended_ms = self._clock.now_ms()
        self._watch()
        if self._ending is None:
            self._drain_until = now + self._plan.drain_seconds

    def _end_when_due(self, now: float) -> None:
        if self._ending is None and self._tree.main_status is None:
            if self._wakeups.is_stop_asked:
                self._begin_to_end("stopped")
            elif now >= self._deadline_at:
                self._begin_to_end("timeout")
        if self._ending is not None and not self._ending.is_done:
            self._ending.advance()
            if self._ending.is_done:
                self._drain_until = self._clock.elapsed_seconds() + self._plan.drain_seconds

    def _begin_to_end(self, reason: EndReason) -> None:
        self._ending = Termination(
            reason,
            self._tree,
            self._clock,
            kills_tree=self._plan.kills_tree,
            grace_seconds=self._plan.grace_seconds,
        )

    def _wait_for_ending(self) -> None:
        """Give those a moment who have closed their output and are about to end: the kernel does one before the other.

        Without that, a process that is ending would be told as one that goes on running.
        """
        ended = select.poll()
        ended.register(self._wakeups.fileno(), select.POLLIN)
        until = self._clock.elapsed_seconds() + _ENDING_SECONDS
        while self._tree.left_count() and (left_seconds := until - self._clock.elapsed_seconds()) > 0:
            if ended.poll(math.ceil(left_seconds * 1000)):
                self._wakeups.clear()
            self._tree.reap()

    def _record(self) -> ExitRecord:
        self._tree.reap()
        if self._ending is None and not self._streams:
            self._wait_for_ending()
        main_status = self._tree.main_status
        return judge(
            self._plan,
            ending=self._ending,
            pid=self._tree.main_pid,
            exit_code=None if main_status is None else os.waitstatus_to_exitcode(main_status),
            left_running=self._tree.left_count(),
            started_ms=self._clock.started_ms,
            finished_ms=self._clock.now_ms() if self._ending else self._main_ended_ms,
            output=self._kept,
        )


def _enlarge(fd: int) -> None:
    # Refused when this user has many large pipes already; the ordinary size then has to do.
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _LARGE_PIPE_BYTES)
