"""A supervisor: waits for a plan, runs that one script, reports, waits until its result is safe, and for the next.

Warm because a fork for every script costs about a millisecond and a supervisor that waits costs nothing. It ends
when its agent is gone, when nothing came for a while, or after a script that left background processes: those then
belong to init like every other daemon.
"""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH123

import os
import select
import traceback

from ..channel import Channel, Kind
from ..plan import Plan
from ..record import CRASH_FILE
from .delivery import Delivery
from .performance import Performance, perform
from .tree import ScriptTree
from .workplace import Workplace


class WarmSupervisor:
    """One supervisor process on its connection to the agent."""

    def __init__(self, channel: Channel, idle_seconds: float) -> None:
        self._channel = channel
        self._idle_seconds = idle_seconds
        self._workplace = Workplace()
        #: The connection, the signals, and the pipes that background processes of the last script hold.
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(self._workplace.wakeups.fileno(), select.POLLIN)
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
            self._handle(plan, perform(plan, self._workplace, self._channel))
        self._channel.close()
        self._workplace.leave()

    def end_after_defect(self) -> None:
        """End the script, which nobody watches from now on, and leave our traceback where the agent finds it."""
        ScriptTree(0, self._workplace.group, is_subreaper=self._workplace.is_subreaper).kill_all()
        if self._folder:
            with open(f"{self._folder}/{CRASH_FILE}", "w", encoding="utf-8") as file:
                file.write(traceback.format_exc())

    def _handle(self, plan: Plan, performance: Performance) -> None:
        record = performance.record
        delivery = Delivery(record, plan, has_saved_output=performance.has_saved_output)
        streams = performance.open_streams
        # Who holds a stream may have ended before they were counted; the connection is given up for it all the same.
        self._is_last = self._is_last or bool(streams) or record.left_running > 0 or record.survivors > 0
        for fd in streams:
            self._poll.register(fd, select.POLLIN)
        is_heard = delivery.send(self._channel, is_retiring=self._is_last)
        match self._next_word(delivery, streams) if is_heard else None:
            case Kind.TAKEN:
                self._workplace.folder.empty(plan.folder)
            case Kind.KEPT:
                delivery.leave()
                self._workplace.folder.let_go()
            case _:
                self._is_last = True
                delivery.insist()
        if streams:
            self._poll.unregister(self._channel.fileno())
            self._channel.close()
            self._keep_reading(streams)

    def _next_word(self, delivery: Delivery, streams: list[int]) -> Kind | None:
        """Wait until the agent says that the result is safe; None when it is gone, or this process has to end."""
        channel, wakeups = self._channel.fileno(), self._workplace.wakeups
        while True:
            is_written = delivery.write_when_due()
            ready = self._poll.poll(0 if is_written and wakeups.is_end_asked else delivery.wait_ms())
            if not ready and is_written:
                return None
            for fd, _ in ready:
                if fd != channel:
                    self._serve(fd, streams)
                    continue
                message = self._channel.receive()
                if message is None or message.kind in (Kind.TAKEN, Kind.KEPT):
                    return message and message.kind

    def _next_plan(self) -> Plan | None:
        """Wait for work; None when there will be none."""
        channel, wakeups = self._channel.fileno(), self._workplace.wakeups
        idle_ms = int(self._idle_seconds * 1000) if self._idle_seconds else None
        while True:
            ready = [fd for fd, _ in self._poll.poll(idle_ms)]
            if wakeups.fileno() in ready:
                wakeups.clear()
            if channel not in ready:
                if ready and not wakeups.is_end_asked:
                    continue
                # A plan that is sent at this moment is lost, and its agent knows: nothing was claimed.
                return None
            message = self._channel.receive()
            if message is None:
                return None
            if message.kind == Kind.PLAN:
                plan = Plan.from_bytes(message.body)
                plan.journal_fd = message.fds[0] if message.fds else None
                return plan

    def _keep_reading(self, streams: list[int]) -> None:
        """Read on, and forget, what background processes write: a closed pipe would kill them at their next line.

        Ends when they closed their output, or when this process is asked to end.
        """
        wakeups = self._workplace.wakeups
        while streams and not wakeups.is_end_asked:
            for fd, _ in self._poll.poll():
                self._serve(fd, streams)

    def _serve(self, fd: int, streams: list[int]) -> None:
        """Do what a descriptor other than the connection's wants."""
        wakeups = self._workplace.wakeups
        if fd == wakeups.fileno():
            wakeups.clear()
            _reap_all()
        elif not os.readv(fd, [self._workplace.buffer]):
            self._poll.unregister(fd)
            streams.remove(fd)
            os.close(fd)


def _reap_all() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return
