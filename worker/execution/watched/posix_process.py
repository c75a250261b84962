"""Start a process of Linux, FreeBSD or macOS in a session of its own; for systems that cannot run supervisors.

What leaves the session and its parents, as daemons do, is not found again: there is no control group here, and nobody
who would inherit it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from ..invocation_facts import EXECUTION_MARKER
from ..machine_clock import uptime_ms, wall_clock_ms
from ..plan import Plan
from ..proc_table import boot_id, carries_variable, entry_if_known, living, start_ticks_of
from ..record import StartRecord
from .process_group import GroupedProcess, could_not_start

#: As POSIX has it, so that every system knows it.
_LIST_PROCESSES = ("ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat=")
#: The same in a form that is the same everywhere, in the C locale.
_TELL_START = ("ps", "-o", "lstart=", "-p")
#: Its lines as long as they are, whatever the width of no terminal.
_LIST_COMMANDS = ("ps", "-A", "-ww", "-o", "pid=", "-o", "pgid=", "-o", "tty=", "-o", "args=")
#: How ``ps`` says that a process has no terminal.
_NO_TERMINAL = frozenset({b"?", b"??", b"-"})
#: There the kernel tells all of these, and ``ps`` works a start out from a clock that may have been set since.
_HAS_PROC = sys.platform.startswith("linux")
_LIST_ENVIRONMENT = {"PATH": "/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL": "C"}
_LIST_SECONDS = 10.0
#: A process that cannot be killed is reported as a survivor after this long.
_GIVE_UP_SECONDS = 10.0


class _Entry(NamedTuple):
    pid: int
    parent_pid: int
    group_id: int


class SessionGroup:
    """The process group of a script's first process, and whatever descends from one of its members."""

    def __init__(self, leader_pid: int) -> None:
        self._leader_pid = leader_pid
        #: Members of other groups, once seen: their parents may end before they do.
        self._strays: set[int] = set()

    def process_count(self) -> int:
        """Return how many of its processes live.

        Raises:
            OSError: the system does not list its processes.
        """
        return len(self._members())

    def ask_to_end(self) -> bool:
        """Send SIGTERM to each."""
        self._signal(signal.SIGTERM)
        return True

    def kill(self) -> None:
        """Send SIGKILL to each."""
        self._signal(signal.SIGKILL)

    def release(self) -> None:
        """Do nothing: what is left lives on."""

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _signal(self, number: signal.Signals) -> None:
        # Looked at first: who is killed leaves children that nobody can tell to be its own.
        try:
            members = self._members()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader_pid, number)
        for entry in members:
            if entry.group_id != self._leader_pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(entry.pid, number)

    def _members(self) -> list[_Entry]:
        table = _living()
        found = {one.pid for one in table if one.group_id == self._leader_pid or one.pid in self._strays}
        before = -1
        while before != len(found):
            before = len(found)
            found.update(one.pid for one in table if one.parent_pid in found)
        self._strays = {one.pid for one in table if one.pid in found and one.group_id != self._leader_pid}
        return [one for one in table if one.pid in found]


class SessionSystem:
    """FreeBSD, macOS, and a Linux without what supervisors need."""

    def start(self, plan: Plan) -> GroupedProcess:
        """Start the plan's program in a session of its own.

        Raises:
            NotStarted: nothing runs.
        """
        user = plan.credentials
        try:
            process = subprocess.Popen(
                plan.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=plan.working_directory,
                env=plan.environment,
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=user.group_ids if user else None,
                umask=0o022,
            )
        except (OSError, ValueError) as exc:  # ValueError: a NUL in an argument
            raise could_not_start(plan, exc) from exc
        return GroupedProcess(process, SessionGroup(process.pid))

    def started_at(self, pid: int) -> int:
        """When a process started: in ticks since boot on Linux, else the second of the epoch; 0 when it is gone."""
        if _HAS_PROC:
            return start_ticks_of(pid)
        try:
            told = _listed((*_TELL_START, str(pid))).decode("ascii").strip()
            return int(time.mktime(time.strptime(told, "%a %b %d %H:%M:%S %Y")))
        except (OSError, subprocess.SubprocessError, ValueError):
            return 0

    def boot_name(self) -> str:
        """The kernel's name for this run of the machine; blank where it has none."""
        with contextlib.suppress(OSError):
            return boot_id() if _HAS_PROC else ""
        return ""

    def end_remains(self, start: StartRecord) -> int:
        """Kill what lives of a script whose agent was killed; return how many processes withstood that.

        A group outlives its leader and keeps its number. A leader that started at another moment, or a machine that
        has started since, gives the number to strangers. An agent that was killed before it could note the first
        process has left one that runs the script's file.

        Raises:
            OSError, SubprocessError: the system does not list its processes, or nobody noted when the first started.
        """
        if self._is_of_another_boot(start):
            return 0
        leader_at = self.started_at(start.pid) if start.pid else 0
        if leader_at and not start.start_ticks:
            raise OSError(f"when its first process, {start.pid}, started was not noted")
        if leader_at not in (0, start.start_ticks):
            return 0
        leader_pid = start.pid or _leader_of(start.execution_id)
        if not leader_pid:
            return 0
        group, give_up_at = SessionGroup(leader_pid), time.monotonic() + _GIVE_UP_SECONDS
        while (count := group.process_count()) and time.monotonic() < give_up_at:
            group.kill()
        return count

    def _is_of_another_boot(self, start: StartRecord) -> bool:
        if start.boot_id:
            return start.boot_id != self.boot_name()
        return start.started_ms < wall_clock_ms() - uptime_ms()


def _leader_of(execution_id: str) -> int:
    """Find the first process of a script by the execution's id; 0 when nothing of it lives.

    On Linux all that it started carry that; elsewhere the file that it runs tells. It leads its session, so it has a
    group of its own and no terminal, unlike somebody who reads the file.
    """
    if _HAS_PROC:
        marker = f"{EXECUTION_MARKER}={execution_id}".encode()
        found = [one for one in living(entry_if_known) if carries_variable(one.pid, marker)]
        return min(found, key=lambda one: one.start_ticks).session_id if found else 0
    part = f"/{execution_id}/script".encode()
    for line in _listed(_LIST_COMMANDS).splitlines():
        fields = line.split(None, 3)
        if len(fields) == 4 and part in fields[3] and fields[0] == fields[1] and fields[2] in _NO_TERMINAL:
            return int(fields[0])
    return 0


def _living() -> list[_Entry]:
    entries = []
    for line in _listed(_LIST_PROCESSES).splitlines():
        try:
            pid, parent_pid, group_id, state = line.split(None, 3)
            if not state.startswith(b"Z"):
                entries.append(_Entry(int(pid), int(parent_pid), int(group_id)))
        except ValueError as exc:
            raise OSError(f"ps lists processes in a form of its own: {line[:80]!r}") from exc
    return entries


def _listed(command: Sequence[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, check=True, timeout=_LIST_SECONDS, env=_LIST_ENVIRONMENT)
    return done.stdout
