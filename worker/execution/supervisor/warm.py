"""A supervisor: waits for a plan, makes it ready, runs that one script when told to, reports, waits for the next.

Warm because a fork for every script costs about a millisecond and a supervisor that waits costs nothing. It ends
when its agent is gone, when nothing came for a while, or after a script that left background processes: those then
belong to init like every other daemon.
"""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH123

import contextlib
import os
import select
import traceback

from ..channel import Channel, Kind
from ..plan import Plan
from ..record import CRASH_FILE, EXIT_FILE, replace_file
from .delivery import deliver
from .performance import Performance, ReadyScript
from .tree import ScriptTree
from .workplace import Workplace


class WarmSupervisor:
    """One supervisor process on its connection to the agent."""

    def __init__(self, channel: Channel, idle_seconds: float) -> None:
        self._channel = channel
        self._idle_seconds = idle_seconds
        self._workplace = Workplace()
        self._is_last = False
        self._folder = ""

    def serve(self) -> None:
        """Run script after script until there is a reason to end."""
        while not self._is_last:
            self._workplace.make_ready()
            plan = self._next_plan()
            if plan is None:
                break
            self._folder = plan.folder
            self._decide(ReadyScript(plan, self._workplace))
        self._channel.close()
        self._workplace.leave()

    def end_after_defect(self) -> None:
        """End the script, which nobody watches from now on, and leave our traceback where the agent finds it."""
        ScriptTree(0, self._workplace.group, is_subreaper=self._workplace.is_subreaper).kill_all()
        if self._folder:
            with open(f"{self._folder}/{CRASH_FILE}", "w", encoding="utf-8") as file:
                file.write(traceback.format_exc())

    def _decide(self, held: ReadyScript) -> None:
        """Do with a script that is ready what its agent says; without an agent it is never started."""
        while (message := self._channel.receive()) is not None:
            if message.kind == Kind.GO:
                self._handle(held.perform(self._channel))
                return
            if message.kind == Kind.CANCEL:
                held.cancel()
                with contextlib.suppress(OSError):  # the next look at the connection finds out who is gone
                    self._channel.send(Kind.READY)
                return
        self._is_last = True
        if record := held.give_up():
            # Where the disk takes nothing, our end tells the next agent the same.
            with contextlib.suppress(OSError):
                replace_file(f"{self._folder}/{EXIT_FILE}", record.to_bytes())

    def _handle(self, performance: Performance) -> None:
        record = performance.record
        is_retiring = self._is_last or record.left_running > 0 or record.survivors > 0
        is_heard = deliver(
            record,
            self._folder,
            self._channel,
            has_saved_output=performance.has_saved_output,
            is_retiring=is_retiring,
        )
        self._is_last = is_retiring or not is_heard
        if performance.open_streams:
            self._channel.close()
            _keep_reading(performance.open_streams, self._workplace)

    def _next_plan(self) -> Plan | None:
        """Wait for work; None when there will be none."""
        wakeups = self._workplace.wakeups
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(wakeups.fileno(), select.POLLIN)
        idle_ms = int(self._idle_seconds * 1000) if self._idle_seconds else None
        while True:
            ready = [fd for fd, _ in poll.poll(idle_ms)]
            if wakeups.fileno() in ready:
                wakeups.clear()
            if self._channel.fileno() not in ready:
                if ready and not wakeups.is_end_asked:
                    continue
                # A plan that is sent at this moment is lost, and its agent knows: it cannot tell us to go.
                return None
            message = self._channel.receive()
            if message is None:
                return None
            if message.kind == Kind.PLAN:
                plan = Plan.from_bytes(message.body)
                plan.script_fd = message.fds[0] if message.fds else None
                return plan


def _keep_reading(streams: list[int], workplace: Workplace) -> None:
    """Read on, and forget, what background processes write: a closed pipe would kill them at their next line.

    Ends when they closed their output, or when this process is asked to end.
    """
    poll = select.poll()
    for fd in (*streams, workplace.wakeups.fileno()):
        poll.register(fd, select.POLLIN)
    while streams and not workplace.wakeups.is_end_asked:
        for fd, _ in poll.poll():
            if fd == workplace.wakeups.fileno():
                workplace.wakeups.clear()
                _reap_all()
            elif not os.readv(fd, [workplace.buffer]):
                poll.unregister(fd)
                streams.remove(fd)
                os.close(fd)


def _reap_all() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return
