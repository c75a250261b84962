"""One script that threads of the agent watch: one for each of its streams, one for its end, one for all decisions."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

from ..events import Ended, Event, Started
from ..machine_clock import wall_clock_ms
from ..not_started import EXECUTION_INTERRUPTED
from ..output.frame_log import STDERR, STDOUT
from ..output.kept_output import KeptOutput
from ..output.masking import Mask
from ..output.output_reader import OutputReader
from ..plan import Plan
from ..record import EXIT_FILE, OUTPUT_FILE, ExitRecord, Step, replace_file
from ..running_script import RunningScript
from ..verdict import EndReason, judge
from .process_group import GroupedProcess

#: What two pipes hold.
_PIPES_BYTES = 2 * 64 * 1024
#: How often live output comes at most, and how much at a time.
_LIVE_SECONDS = 0.1
_LIVE_BYTES = 8 * 1024
#: How often what is kept of the output goes to disk, in case this agent is killed.
_SAVE_SECONDS = 0.5
#: Enough for another thread to be given the interpreter.
_WAKE_SECONDS = 0.005
#: Between two looks whether a group that is ending has ended.
_LOOK_SECONDS = 0.02
#: A process that cannot be killed is reported as a survivor after this long.
_GIVE_UP_SECONDS = 10.0
#: With its output closed a process is about to end; one that is so for longer goes on.
_ENDING_SECONDS = 0.1


class ForcedEnd:
    """How a script was ended, with the evidence."""

    def __init__(self, reason: EndReason) -> None:
        self.reason = reason
        self.survivors = 0
        self.steps: list[Step] = []


class WatchedScript(RunningScript):
    """One script in its group."""

    def __init__(self, plan: Plan, started: GroupedProcess, started_ms: int) -> None:
        super().__init__(plan.execution_id)
        self._plan = plan
        self._process, self._group = started
        self._started_ms = started_ms
        self._begun_at = time.monotonic()
        #: What the clock says is asked once: it may be set while the script runs.
        self._begun_ms = max(started_ms, wall_clock_ms())
        self._main_ended_ms = 0
        self._events: queue.Queue[Event] = queue.Queue()
        self._events.put(Started(self._process.pid))
        self._kept = KeptOutput(plan.output_limit_bytes)
        self._masks = {stream: Mask(plan.masked) for stream in (STDOUT, STDERR)} if plan.masked else {}
        self._kept_lock = threading.Lock()
        #: Nothing is kept any more of what a process that was left behind writes.
        self._is_complete = False
        self._shown_bytes = self._saved_bytes = 0
        self._stop_asked = self._is_ending = self._is_abandoned = self._is_hurried = False
        #: Set when the main process has ended or a stop was asked for.
        self._changed = threading.Event()
        self._readers = [
            OutputReader(pipe, partial(self._keep, stream))
            for stream, pipe in ((STDOUT, self._process.stdout), (STDERR, self._process.stderr))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()
        self._watcher = threading.Thread(target=self._watch, name="script", daemon=True)
        for thread in (threading.Thread(target=self._wait_for_main, name="script-end", daemon=True), self._watcher):
            thread.start()

    def stop(self) -> None:
        """End the script."""
        self._stop_asked = True
        self._changed.set()

    def fileno(self) -> int:
        """Return -1: there is nothing to wait on but the events themselves."""
        return -1

    def abandon(self) -> None:
        """End the script without a result: its agent ends, and the next one tells that.

        One that has ended already keeps its result, for which ``wait_until_kept`` waits, and what it left in the
        background goes on. One that is being ended is killed at once, and keeps its result too.
        """
        self._is_hurried = True
        if self._is_ending:
            self._kill()
        elif not self._is_main_gone():
            self._is_abandoned = True
            self._kill()

    def wait_until_kept(self, seconds: float) -> None:
        """Return when nothing more comes of it: its result is on disk, or it was abandoned; or when time is up."""
        self._watcher.join(max(0.0, seconds))

    def close(self) -> None:
        """Let go of the script; it ends with this process at the latest."""

    def _next_event(self, timeout: float | None) -> Event | None:
        try:
            return self._events.get(timeout=timeout) if timeout != 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def _keep(self, stream: int, data: bytes) -> None:
        with self._kept_lock:
            if not self._is_complete:
                mask = self._masks.get(stream)
                self._kept.feed(stream, data if mask is None else mask.feed(data))

    def _complete(self) -> None:
        """Keep what was held back, and nothing more from now on."""
        with self._kept_lock:
            self._is_complete = True
            for stream, mask in self._masks.items():
                self._kept.feed(stream, mask.finish())
            self._kept.finish()

    def _wait_for_main(self) -> None:
        self._process.wait()
        self._main_ended_ms = self._now_ms()
        self._changed.set()

    def _watch(self) -> None:
        try:
            ending = self._wait_for_reason_to_end()
            if ending is not None:
                self._is_ending = True
                self._end(ending)
            self._drain()
            if not self._is_abandoned or self._was_faster_than_kill():
                self._finish(ending)
        except Exception as exc:  # noqa: BLE001  # outermost: of this thread; nobody else would ever tell of an end
            self._kill()
            self._events.put(Ended(self._unwatched(exc)))

    def _now_ms(self) -> int:
        return self._begun_ms + int((time.monotonic() - self._begun_at) * 1000)

    def _is_main_gone(self) -> bool:
        """Tell whether the main process has ended, also when the thread that waits for that has not come to say so."""
        if self._main_ended_ms or self._process.poll() is not None:
            return True
        with contextlib.suppress(PermissionError):
            try:
                if os.name == "posix":
                    os.kill(self._process.pid, 0)
            except ProcessLookupError:
                return True
        return False

    def _was_faster_than_kill(self) -> bool:
        """Tell whether it had ended as it was abandoned; Windows tells that of itself."""
        return os.name == "posix" and self._process.returncode not in (None, -signal.SIGKILL)

    def _drain(self) -> None:
        """Wait for what is still to be read, but not for ever: what was left behind may hold the streams open.

        What lies in a pipe when that time is up was written before; no more of it is waited for than pipes hold.
        """
        ended_at = time.monotonic()
        most_bytes = 0
        while alive := [reader for reader in self._readers if reader.is_alive()]:
            seconds = min(self._plan.drain_seconds, _ENDING_SECONDS if self._is_hurried else float("inf"))
            rest_seconds = ended_at + seconds - time.monotonic()
            if rest_seconds <= 0:
                most_bytes = most_bytes or self._kept.total_bytes + _PIPES_BYTES
                if self._kept.total_bytes >= most_bytes or not any(reader.is_behind() for reader in alive):
                    return
            alive[0].join(min(_LOOK_SECONDS, max(rest_seconds, _WAKE_SECONDS)))

    def _wait_for_reason_to_end(self) -> ForcedEnd | None:
        """Wait until the main process has ended, or has to; show and save its output meanwhile."""
        timeout_at = self._begun_at + (self._plan.timeout_seconds or float("inf"))
        save_at = self._begun_at + _SAVE_SECONDS
        while not self._main_ended_ms:
            now = time.monotonic()
            if self._stop_asked:
                return ForcedEnd("stopped")
            if now >= timeout_at:
                return ForcedEnd("timeout")
            self._show_newest()
            if now >= save_at:
                save_at = now + _SAVE_SECONDS
                self._save_output()
            self._changed.wait(min(_LIVE_SECONDS, timeout_at - now))
        return None

    def _show_newest(self) -> None:
        if not self._events.empty():
            return  # whoever shows it is slow: it gets the newest later, and the gap is counted in that event
        with self._kept_lock:
            chunk = self._kept.newest_after(self._shown_bytes, _LIVE_BYTES)
        if chunk.frames:
            self._shown_bytes = chunk.end_bytes
            self._events.put(chunk)

    def _save_output(self) -> None:
        with self._kept_lock:
            total_bytes = self._kept.total_bytes
            data = self._kept.to_bytes() if total_bytes > self._saved_bytes else b""
        if data:
            # Only for the case that this agent is killed; a full disk must not end the watching.
            with contextlib.suppress(OSError):
                replace_file(f"{self._plan.folder}/{OUTPUT_FILE}", data)
                self._saved_bytes = total_bytes

    def _end(self, ending: ForcedEnd) -> None:
        """Ask where that can be done, then kill: the whole group, or the main process alone."""
        self._note(ending, "timeout" if ending.reason == "timeout" else "stop requested")
        if self._ask_to_end():
            self._note(ending, "asked to end")
            self._wait_for_end(self._plan.grace_seconds, may_be_hurried=True)
        if not self._has_ended():
            self._note(ending, f"killed the {'group' if self._plan.kills_tree else 'main process'}")
        give_up_at = time.monotonic() + _GIVE_UP_SECONDS
        while not self._has_ended() and time.monotonic() < give_up_at:
            self._kill()
            self._wait_for_end(_LOOK_SECONDS)
        # Whoever was not to end has not survived anything.
        ending.survivors = self._process_count() if self._plan.kills_tree else int(self._process.poll() is None)
        self._note(ending, "verified")

    def _kill(self) -> None:
        try:
            if self._plan.kills_tree:
                self._group.kill()
        except (OSError, subprocess.SubprocessError) as exc:
            self._plan.notes.append(f"the processes of the script could not be killed together: {exc}")
        self._process.kill()

    def _ask_to_end(self) -> bool:
        """Ask politely, where that can be done; false where only a kill is left."""
        if not self._plan.kills_tree:
            if os.name == "posix":
                self._process.terminate()
            return os.name == "posix"
        try:
            return self._group.ask_to_end()
        except (OSError, subprocess.SubprocessError):
            return False  # it is about to be killed, which says what is wrong

    def _has_ended(self) -> bool:
        if self._plan.kills_tree:
            return self._process_count() == 0 and self._process.poll() is not None
        return self._process.poll() is not None

    def _wait_for_end(self, seconds: float, *, may_be_hurried: bool = False) -> None:
        until = time.monotonic() + seconds
        while not self._has_ended() and time.monotonic() < until and not (may_be_hurried and self._is_hurried):
            time.sleep(_LOOK_SECONDS)

    def _note(self, ending: ForcedEnd, what: str) -> None:
        ending.steps.append(Step(what, self._now_ms(), self._process_count()))

    def _process_count(self) -> int:
        """How many processes of the script live; what cannot be counted counts as none, with a note in the result."""
        try:
            return self._group.process_count()
        except (OSError, subprocess.SubprocessError) as exc:
            note = f"this system does not say which processes are left: {exc}"
            if note not in self._plan.notes:
                self._plan.notes.append(note)
            return 0

    def _unwatched(self, exc: Exception) -> ExitRecord:
        """The record of a script that could not be watched to its end, by a defect of ours."""
        self._complete()
        return ExitRecord(
            execution_id=self._plan.execution_id,
            reason="supervisor_lost",
            started_ms=self._started_ms,
            finished_ms=self._now_ms(),
            pid=self._process.pid,
            error_code=EXECUTION_INTERRUPTED,
            error_info=f"the script was ended, for it could not be watched any more: {type(exc).__name__}: {exc}",
            notes=self._plan.notes,
            output=self._kept,
        )

    def _finish(self, ending: ForcedEnd | None) -> None:
        if ending is None and not any(reader.is_alive() for reader in self._readers):
            until = time.monotonic() + _ENDING_SECONDS
            while self._process_count() and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
        left_running = self._process_count()
        self._group.release()
        self._group.close()
        self._complete()
        record = judge(
            self._plan,
            ending=ending,
            pid=self._process.pid,
            exit_code=None if ending else self._process.returncode,
            left_running=left_running,
            started_ms=self._started_ms,
            finished_ms=self._now_ms() if ending else self._main_ended_ms,
            output=self._kept,
        )
        if not self._plan.keep_script:
            with contextlib.suppress(OSError):
                Path(self._plan.script_path).unlink()
        try:
            replace_file(f"{self._plan.folder}/{EXIT_FILE}", record.to_bytes())
        except OSError as exc:
            record.notes.append(f"the result could not be written to {self._plan.folder}: {exc}")
        self._events.put(Ended(record))
