"""Run scripts on Windows: threads of the agent watch them, and a job object holds what they start.

There are no supervisors here, since a script lives in a job that ends with its agent. So a script does not outlive
its agent on Windows; the next agent finds the folder and settles it as interrupted. Never run on a real Windows by
us.
"""

import contextlib
import os
import queue
import threading
import time
from pathlib import Path
from typing import IO

from .events import Ended, Event, Started
from .frame_log import STDERR, STDOUT
from .masking import Mask
from .not_started import EXECUTION_EXCEPTION, NotStarted
from .output import KeptOutput
from .plan import Plan
from .record import EXIT_FILE, STARTED_FILE, ExitRecord, Reason, StartRecord, Step, load_exit, load_start, replace_file
from .running_script import RunningScript
from .windows_process import GroupedProcess, start_in_group

_READ_BYTES = 64 * 1024
_LOOK_SECONDS = 0.05
_LIVE_SECONDS = 0.1
_LIVE_BYTES = 8 * 1024
_GIVE_UP_SECONDS = 10.0
_ERROR_CODES = {"timeout": "ExecutionTimeout", "stopped": "", "supervisor_lost": "ExecutionInterrupted"}


class WindowsLauncher:
    """Starts scripts and watches them; the same interface as the launcher of Linux."""

    def start(self) -> None:
        """Do nothing: there is nothing to start before a script."""

    def launch(self, plan: Plan) -> RunningScript:
        """Start the plan's script. Its descriptors are closed, also when this fails.

        Raises:
            NotStarted: it does not run and never will.
        """
        now_ms = _now_ms()
        start = StartRecord(
            execution_id=plan.execution_id,
            boot_id="",
            supervisor_pid=0,
            supervisor_start_ticks=0,
            cgroup="",
            started_ms=now_ms,
        )
        try:
            if plan.journal_fd is not None:
                os.fsync(plan.journal_fd)
            with (Path(plan.folder) / STARTED_FILE).open("xb") as file:
                file.write(start.to_bytes())
        except OSError as exc:
            raise NotStarted(EXECUTION_EXCEPTION, f"cannot claim {plan.folder}: {exc}") from exc
        finally:
            plan.close()
        return WindowsScript(plan, start_in_group(plan), now_ms)

    def adopt(self, folder: Path) -> RunningScript | None:
        """Return the execution of an earlier agent, which ended with it at the latest; None when it never started."""
        record = load_exit(str(folder))
        if record is None:
            start = load_start(str(folder))
            if start is None:
                return None
            record = ExitRecord(
                execution_id=start.execution_id,
                reason="supervisor_lost",
                started_ms=start.started_ms,
                finished_ms=_now_ms(),
                error_code=_ERROR_CODES["supervisor_lost"],
                error_info="the agent or the machine ended while the script ran, and the script with it",
                output=KeptOutput(0),
            )
            replace_file(str(folder / EXIT_FILE), record.to_bytes())
        return EndedScript(record)

    def is_supervised(self, folder: Path) -> bool:
        """Tell that nobody does: whoever watches a script here is this process, which knows it."""
        return False

    def close(self) -> None:
        """Do nothing: scripts that run end with this process."""


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


class WindowsScript(RunningScript):
    """One script in its job, with one thread that watches it and one for each of its streams."""

    def __init__(self, plan: Plan, started: GroupedProcess, started_ms: int) -> None:
        super().__init__(plan.execution_id)
        self._plan = plan
        self._process, self._group = started
        self._started_ms = started_ms
        self._begun_at = time.monotonic()
        self._events: queue.Queue[Event] = queue.Queue()
        self._events.put(Started(self._process.pid))
        self._kept = KeptOutput(plan.output_limit_bytes)
        self._kept_lock = threading.Lock()
        self._seen_bytes = 0
        self._stop_asked = threading.Event()
        self._steps: list[Step] = []
        self._readers = [
            threading.Thread(target=self._read, args=(stream, pipe), daemon=True)
            for stream, pipe in ((STDOUT, self._process.stdout), (STDERR, self._process.stderr))
        ]
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        for thread in (*self._readers, self._watcher):
            thread.start()

    def stop(self) -> None:
        """End the script; Windows has no way to ask a background process politely."""
        self._stop_asked.set()

    def fileno(self) -> int:
        """Return -1: only sockets can be waited on, on Windows."""
        return -1

    def close(self) -> None:
        """Let go of the script; it ends with this process at the latest."""

    def _next_event(self, timeout: float | None) -> Event | None:
        try:
            return self._events.get(timeout=timeout) if timeout != 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def _read(self, stream: int, pipe: IO[bytes]) -> None:
        mask = Mask(self._plan.masked) if self._plan.masked else None
        with pipe:
            while data := pipe.read(_READ_BYTES):
                with self._kept_lock:
                    self._kept.feed(stream, mask.feed(data) if mask else data)
            if mask:
                with self._kept_lock:
                    self._kept.feed(stream, mask.finish())

    def _watch(self) -> None:
        reason: Reason = "exited"
        live_at = self._begun_at + _LIVE_SECONDS
        while self._process.poll() is None and reason == "exited":
            asked = self._stop_asked.wait(_LOOK_SECONDS)
            elapsed = time.monotonic() - self._begun_at
            if asked:
                reason = "stopped"
            elif self._plan.timeout_seconds and elapsed >= self._plan.timeout_seconds:
                reason = "timeout"
            elif time.monotonic() >= live_at:
                live_at = time.monotonic() + _LIVE_SECONDS
                self._show_newest()
        survivors = 0 if reason == "exited" else self._end(reason)
        for reader in self._readers:
            reader.join(self._plan.drain_seconds)
        self._finish(reason, survivors)

    def _show_newest(self) -> None:
        with self._kept_lock:
            chunk = self._kept.newest_after(self._seen_bytes, _LIVE_BYTES)
        if chunk.frames:
            self._seen_bytes = chunk.end_bytes
            self._events.put(chunk)

    def _end(self, reason: Reason) -> int:
        """Kill the whole job, or the main process alone; return how many processes survived."""
        self._note("timeout" if reason == "timeout" else "stop requested")
        if self._plan.kills_tree:
            self._group.kill()
        else:
            self._process.kill()
        self._process.wait(_GIVE_UP_SECONDS)
        give_up_at = time.monotonic() + _GIVE_UP_SECONDS
        while self._plan.kills_tree and self._group.process_count() and time.monotonic() < give_up_at:
            time.sleep(_LOOK_SECONDS)
        self._note("verified")
        return self._steps[-1].process_count

    def _note(self, what: str) -> None:
        self._steps.append(Step(what, _now_ms(), self._group.process_count()))

    def _finish(self, reason: Reason, survivors: int) -> None:
        left_running = self._group.process_count()
        self._group.release()
        self._group.close()
        with self._kept_lock:
            self._kept.finish()
        code = self._process.returncode
        record = ExitRecord(
            execution_id=self.execution_id,
            reason=reason,
            started_ms=self._started_ms,
            finished_ms=self._started_ms + int((time.monotonic() - self._begun_at) * 1000),
            pid=self._process.pid,
            exit_code=code if reason == "exited" else None,
            error_code=_ERROR_CODES.get(reason, "ExitCodeNonzero" if code else ""),
            error_info=f"the script ended with exit code {code}" if code and reason == "exited" else "",
            survivors=survivors,
            left_running=left_running,
            steps=self._steps,
            notes=self._plan.notes,
            output=self._kept,
        )
        if not self._plan.keep_script:
            with contextlib.suppress(OSError):
                Path(self._plan.script_path).unlink()
        try:
            replace_file(str(Path(self._plan.folder) / EXIT_FILE), record.to_bytes())
        except OSError as exc:
            record.notes.append(f"the result could not be written to {self._plan.folder}: {exc}")
        self._events.put(Ended(record))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
