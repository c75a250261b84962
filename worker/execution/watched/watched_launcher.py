"""Run scripts on systems without supervisors: threads of the agent watch them, and a group holds what they start.

A script does not outlive its agent here. The next agent finds the folder, and tells that the script was interrupted,
with what it had written until a moment before.
"""

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path
from weakref import WeakSet

from ..events import Ended, Event
from ..not_started import EXECUTION_EXCEPTION, EXECUTION_INTERRUPTED, NotStarted
from ..output.kept_output import KeptOutput
from ..plan import Plan
from ..record import (
    EXIT_FILE,
    OUTPUT_FILE,
    STARTED_FILE,
    ExitRecord,
    StartRecord,
    load_exit,
    load_output,
    load_start,
    replace_file,
)
from ..running_script import RunningScript
from ..script_file import SCRIPT_MODE
from .process_group import ProcessSystem
from .watched_script import WatchedScript

#: How long an agent that leaves waits for the results of scripts that have ended just now.
_KEEP_SECONDS = 0.5


class WatchedLauncher:
    """Starts scripts in the system's own way and has threads watch them."""

    def __init__(self, system: ProcessSystem) -> None:
        self._system = system
        self._running: WeakSet[WatchedScript] = WeakSet()
        self._lock = threading.Lock()
        self._has_left = False

    def start(self) -> None:
        """Do nothing: there is nothing to start before a script."""

    def launch(self, plan: Plan) -> RunningScript:
        """Claim the folder, write the script, wait until the journal is on disk, and start.

        Raises:
            NotStarted: it does not run and never will.
        """
        start = _start_of(plan.execution_id, _now_ms())
        start.boot_id = self._system.boot_name()
        try:
            _claim(plan, start)
            _write_script(plan)
            if plan.journal_fd is not None:
                os.fsync(plan.journal_fd)
        except OSError as exc:
            raise NotStarted(
                EXECUTION_EXCEPTION, f"cannot prepare {plan.folder}: {exc.strerror}; check the disk of the agent's home"
            ) from exc
        finally:
            plan.close()
        started = self._system.start(plan)
        start.pid, start.start_ticks = started.process.pid, self._system.started_at(started.process.pid)
        # Without it the next agent cannot find what is left of a script, and says so.
        with contextlib.suppress(OSError):
            replace_file(f"{plan.folder}/{STARTED_FILE}", start.to_bytes())
        try:
            running = WatchedScript(plan, started, start.started_ms)
        except RuntimeError as exc:
            # Where no thread can be started, ``ps`` often cannot either; its group is killed all the same.
            with started.process, contextlib.suppress(OSError, subprocess.SubprocessError):
                started.group.kill()
            raise NotStarted(
                EXECUTION_INTERRUPTED, f"the script was ended, for no thread could be started to watch it ({exc})"
            ) from exc
        with self._lock:
            self._running.add(running)
            is_too_late = self._has_left
        if is_too_late:
            running.abandon()
        return running

    def adopt(self, folder: Path) -> RunningScript | None:
        """Return the execution of an earlier agent, which ended with it at the latest; None when it never started."""
        record = load_exit(str(folder))
        if record is None:
            start = load_start(str(folder)) or _unreadable_start(folder)
            if start is None:
                return None
            record = self._interrupted(folder, start)
            self._keep(folder, record)
        return EndedScript(record)

    @staticmethod
    def _keep(folder: Path, record: ExitRecord) -> None:
        """Write the record of an interrupted script; its output stays beside it where the disk does not take that."""
        try:
            replace_file(str(folder / EXIT_FILE), record.to_bytes())
        except OSError as exc:
            record.notes.append(f"the result could not be written to {folder / EXIT_FILE}: {exc.strerror}")
            return
        for path in (folder / OUTPUT_FILE, *folder.glob("script.*")):
            with contextlib.suppress(OSError):
                path.unlink()

    def _interrupted(self, folder: Path, start: StartRecord) -> ExitRecord:
        """End what is left of a script whose agent is gone, and return its record."""
        notes, survivors = [], 0
        try:
            survivors = self._system.end_remains(start)
        except (OSError, subprocess.SubprocessError) as exc:
            notes.append(f"nobody can say what is left of the script, which may still run: {exc}")
        if survivors:
            notes.append(f"{survivors} process{'' if survivors == 1 else 'es'} of the script could not be ended")
        return ExitRecord(
            execution_id=start.execution_id,
            reason="supervisor_lost",
            started_ms=start.started_ms,
            finished_ms=max(start.started_ms, _now_ms()),
            pid=start.pid,
            error_code=EXECUTION_INTERRUPTED,
            error_info="the agent or the machine ended while the script ran, and the script with it;"
            " its output is that of at most a second before",
            survivors=survivors,
            notes=notes,
            output=load_output(str(folder)) or KeptOutput(0),
        )

    def find_unclaimed(self, execution_id: str, folder: Path) -> RunningScript | None:
        """Find nothing: no script outlives its agent, and this one knows its own."""
        return None

    def is_supervised(self, folder: Path) -> bool:
        """Tell that nobody does: whoever watches a script here is this process, which knows it."""
        return False

    def leave(self) -> None:
        """End the scripts that run, and any that start later; the next agent tells that they were interrupted.

        Results of scripts that have ended by themselves are on disk when this returns, for the next agent.
        """
        with self._lock:
            self._has_left = True
            last = list(self._running)
        for running in last:
            running.abandon()
        give_up_at = time.monotonic() + _KEEP_SECONDS
        for running in last:
            running.wait_until_kept(give_up_at - time.monotonic())

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class EndedScript(RunningScript):
    """An execution that is over."""

    def __init__(self, record: ExitRecord) -> None:
        super().__init__(record.execution_id)
        self._record = record

    def stop(self) -> None:
        """Do nothing: it has ended."""

    def fileno(self) -> int:
        """Return -1: there is nothing to wait for."""
        return -1

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _next_event(self, timeout: float | None) -> Event | None:
        return Ended(self._record)


def _unreadable_start(folder: Path) -> StartRecord | None:
    """What is known of a start whose record a power cut has damaged, so that the script may have run; None for none."""
    try:
        claimed_ms = (folder / STARTED_FILE).stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
    return _start_of(folder.name, claimed_ms)


def _start_of(execution_id: str, started_ms: int) -> StartRecord:
    """The record of a start without a supervisor."""
    return StartRecord(
        execution_id=execution_id,
        boot_id="",
        supervisor_pid=0,
        supervisor_start_ticks=0,
        cgroup="",
        started_ms=started_ms,
    )


def _claim(plan: Plan, start: StartRecord) -> None:
    folder = Path(plan.folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    if plan.credentials:
        # Its user reaches the script, by its name, and lists nothing.
        folder.chmod(0o711)
    with (folder / STARTED_FILE).open("xb") as file:
        file.write(start.to_bytes())


def _write_script(plan: Plan) -> None:
    path = Path(plan.script_path)
    with path.open("xb") as file:
        if os.name == "posix":
            path.chmod(SCRIPT_MODE)
        file.write(plan.content)
        if plan.credentials:
            os.chown(path, plan.credentials.uid, plan.credentials.gid)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
