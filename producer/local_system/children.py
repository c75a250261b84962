"""One child program: started, watched until it is ready, started again when it dies, ended."""

import ctypes
import enum
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...broker_config.clock import monotonic_seconds
from .child_log import ChildLog
from .process_identity import identity_of, send
from .programs import Program

_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 30.0
#: After this long without a death the next one counts as the first again.
_STEADY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


class ChildState(enum.Enum):
    """Where a child is in its life."""

    STARTING = enum.auto()
    READY = enum.auto()
    WAITING = enum.auto()
    ENDED = enum.auto()


class Change(enum.Enum):
    """What has happened to a child since we looked last."""

    READY = enum.auto()
    DIED = enum.auto()
    TOO_SLOW = enum.auto()
    RESTARTED = enum.auto()
    NOT_STARTED = enum.auto()


@dataclass
class Child:
    """A program under watch. ``look`` moves it on; nothing happens between two looks."""

    program: Program
    folder: Path
    log: ChildLog
    state: ChildState = ChildState.ENDED
    place: str = ""
    identity: str = ""
    retry_in_seconds: float = 0.0
    #: Why it could not be started again when that was tried last.
    start_problem: str = ""
    _process: "subprocess.Popen[bytes] | None" = None
    _leads_group: bool = False
    _since: float = 0.0
    _deaths_count: int = 0

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def pid(self) -> int:
        """The process' id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        """Whether its process is there; what it left behind in its group is ended as soon as it is not."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        self._end_group(self._process.pid)
        return False

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C in our terminal reaches us alone.

        On Linux the kernel sends it a SIGTERM when we are gone, however that happened.
        """
        output = self.log.open()
        try:
            self._process = subprocess.Popen(
                self.program.argv,
                cwd=self.folder,
                env=dict(self.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 - `assist up` has one thread
            )
        finally:
            os.close(output)
        self._leads_group = self.program.ends_group
        self.identity = identity_of(self._process.pid)
        self._enter(ChildState.STARTING)

    def look(self) -> Change | None:
        """Notice what has happened, and start it again when its time has come."""
        if self.state is ChildState.WAITING and self._elapsed() >= self.retry_in_seconds:
            return self._start_again()
        if self.state in (ChildState.STARTING, ChildState.READY) and not self.is_running:
            self._schedule_restart()
            return Change.DIED
        if self.state is ChildState.STARTING:
            place = self.program.ready_place(self.log.this_run())
            if place:
                self.place = place
                self._enter(ChildState.READY)
                return Change.READY
            if self._elapsed() > self.program.ready_seconds:
                self.kill()
                self._schedule_restart()
                return Change.TOO_SLOW
        return None

    def seconds_to_next_look(self) -> float:
        """How long nothing is to be done, unless a signal says otherwise."""
        if self.state is ChildState.STARTING:
            return 0.05
        if self.state is ChildState.WAITING:
            return max(0.0, self.retry_in_seconds - self._elapsed())
        return float("inf")

    def ask_to_end(self) -> None:
        """Send SIGTERM; ``has_ended`` tells when it is done."""
        self._enter(ChildState.ENDED)
        if self.is_running:
            send(self.pid, signal.SIGTERM)

    def has_ended(self) -> bool:
        """Whether it is gone after ``ask_to_end``; a program that takes too long is killed here."""
        if self.is_running:
            if self._elapsed() < self.program.stop_seconds:
                return False
            self.kill()
        return True

    def kill(self) -> None:
        """SIGKILL it and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._end_group(self._process.pid)

    def how_it_ended(self) -> str:
        """The end of its process in words."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "never started"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _end_group(self, pid: int) -> None:
        # At once and once: later the number may be another group's.
        if self._leads_group:
            self._leads_group = False
            send(pid, signal.SIGKILL, group=True)

    def _start_again(self) -> Change:
        try:
            self.start()
        except OSError as exc:
            # No process or memory to be had, no room, a program that is just being replaced: it passes.
            self.start_problem = str(exc)
            self._schedule_restart()
            return Change.NOT_STARTED
        return Change.RESTARTED

    def _schedule_restart(self) -> None:
        if self.state is ChildState.READY and self._elapsed() > _STEADY_SECONDS:
            self._deaths_count = 0
        # Not the power of their number: after a night of deaths that is beyond all floats.
        doubled = 2 * self.retry_in_seconds if self._deaths_count else _FIRST_DELAY_SECONDS
        self.retry_in_seconds = min(doubled, _LONGEST_DELAY_SECONDS)
        self._deaths_count += 1
        self._enter(ChildState.WAITING)

    def _enter(self, state: ChildState) -> None:
        self.state = state
        self._since = monotonic_seconds()

    def _elapsed(self) -> float:
        return monotonic_seconds() - self._since


def _end_with_parent() -> Callable[[], None] | None:
    """What a new process calls before it becomes the program; None where the system has no such thing."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent_pid = os.getpid()

    def ask_for_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # We may have died between the fork and the line above.
        if os.getppid() != parent_pid:
            os._exit(1)

    return ask_for_death_signal
