"""One script on this supervisor: make and claim its folder, start it when told to, see it to its end."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH108

import contextlib
import os
from typing import NamedTuple

from ..channel import Channel, Kind
from ..not_started import EXECUTION_EXCEPTION, EXECUTION_INTERRUPTED, NotStarted
from ..output import KeptOutput
from ..plan import Plan
from ..proc_table import start_ticks_of
from ..record import STARTED_FILE, ExitRecord, StartRecord
from ..script_file import is_full, keep_in_memory, write_script_file
from .child import Launchpad
from .clocks import RunClock
from .script_run import ScriptRun
from .tree import ScriptTree
from .workplace import Workplace


class Performance(NamedTuple):
    """How it went, the pipes that background processes still hold, and whether output was saved meanwhile."""

    record: ExitRecord
    open_streams: list[int]
    has_saved_output: bool


class ReadyScript:
    """A plan for which all is made ready but the start, which waits for the agent's word.

    That word comes when the agent's journal is on disk. Then ``perform`` it, once; or ``cancel`` it, or ``give_up``
    when no word can come any more. What would refuse the start is told by ``perform``, so that there is one order
    of messages.
    """

    def __init__(self, plan: Plan, workplace: Workplace) -> None:
        self.plan = plan
        self._workplace = workplace
        self._start = StartRecord(
            execution_id=plan.execution_id,
            boot_id=workplace.boot_id,
            supervisor_pid=workplace.pid,
            supervisor_start_ticks=workplace.start_ticks,
            cgroup=workplace.group.path if workplace.group else "",
            started_ms=RunClock().started_ms,
        )
        self._claim_fd: int | None = None
        self._launchpad: Launchpad | None = None
        self._refusal: NotStarted | None = None
        try:
            self._make_files()
            self._launchpad = Launchpad(plan, workplace.null_fd)
        except NotStarted as exc:
            self._refusal = exc
        except OSError as exc:
            self._refusal = NotStarted(EXECUTION_EXCEPTION, f"nothing could be made ready for the script: {exc}")

    def perform(self, channel: Channel) -> Performance:
        """Run the plan's script to its end; a script that cannot be started ends at once, with the reason."""
        clock = RunClock()
        try:
            return self._run(clock, channel)
        except NotStarted as exc:
            record = _not_started_record(self.plan, clock, exc.error_code, exc.error_info)
            return Performance(record, [], False)
        finally:
            self._tidy_up()

    def cancel(self) -> None:
        """Leave nothing of a script that is not to be started but its empty folder."""
        self._close()
        if self._claim_fd is not None:
            for path in (f"{self.plan.folder}/{STARTED_FILE}", self.plan.script_path):
                with contextlib.suppress(OSError):
                    os.unlink(path)
        self._tidy_up()

    def give_up(self) -> ExitRecord | None:
        """Return the record of a script that was never started because its agent has ended.

        None when this folder was never ours: somebody else has given the execution up, or the disk took nothing.
        """
        self._close()
        is_ours = self._claim_fd is not None
        self._tidy_up()
        remove_script(self.plan)
        if not is_ours:
            return None
        return _not_started_record(
            self.plan,
            RunClock(),
            EXECUTION_INTERRUPTED,
            "the agent ended before it could start the script, which never ran; invoke it again",
        )

    def _make_files(self) -> None:
        """Put the script where it belongs, the claim before it.

        Raises:
            NotStarted: that cannot be, or somebody else has done so.
        """
        plan = self.plan
        try:
            self._workplace.folder.make(plan.folder, is_passable=plan.credentials is not None)
        except OSError as exc:
            if not is_full(exc):
                raise NotStarted(
                    EXECUTION_EXCEPTION, f"cannot make {plan.folder}: {exc.strerror}; check the agent's home"
                ) from exc
            keep_in_memory(plan, exc)
        self._claim_fd = _claim(plan, self._start)
        if plan.script_fd is None:
            write_script_file(plan)

    def _run(self, clock: RunClock, channel: Channel) -> Performance:
        if self._launchpad is None:
            raise self._refusal or NotStarted(EXECUTION_EXCEPTION, "a script runs only once")
        child = self._launchpad.start()
        start = self._start
        start.pid = child.pid
        tree = ScriptTree(start.pid, self._workplace.group, is_subreaper=self._workplace.is_subreaper)

        def announce() -> None:
            """Tell the agent and the disk which process it is, once it is known to be no matter of milliseconds."""
            self._workplace.protect()
            with contextlib.suppress(OSError):  # an agent that is gone reads the record instead
                channel.send(Kind.STARTED, str(start.pid).encode(), wait=False)
            if self._claim_fd is not None:
                start.started_ms = clock.started_ms
                start.start_ticks = start_ticks_of(start.pid)
                with contextlib.suppress(OSError):  # the part that was written before the start names the supervisor
                    os.pwrite(self._claim_fd, start.to_bytes(), 0)

        run = ScriptRun(
            self.plan, child, tree, clock, channel=channel, wakeups=self._workplace.wakeups, announce=announce
        )
        return Performance(run.to_its_end(self._workplace.buffer), run.open_streams, run.has_saved_output)

    def _close(self) -> None:
        if self._launchpad is not None:
            self._launchpad.close()

    def _tidy_up(self) -> None:
        if self._claim_fd is not None:
            os.close(self._claim_fd)
        self.plan.close()


def remove_script(plan: Plan) -> None:
    """Remove a script that has ended, unless it is to be kept."""
    if not plan.keep_script:
        with contextlib.suppress(OSError):
            os.unlink(plan.script_path)


def _claim(plan: Plan, start: StartRecord) -> int | None:
    """Write who runs this execution, before anything of it runs; None when the disk takes nothing.

    The file is created exclusively: an agent that finds a folder without it and gives the execution up creates it
    too, and exactly one of both succeeds.

    Raises:
        NotStarted: somebody gave this execution up, or another supervisor runs it.
    """
    path = f"{plan.folder}/{STARTED_FILE}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise NotStarted(EXECUTION_EXCEPTION, "this execution was given up, or started, by somebody else") from None
    except OSError as exc:
        plan.notes.append(f"{path} could not be written ({exc.strerror}): a restarted agent will not find the script")
        return None
    try:
        os.write(fd, start.to_bytes())
    except OSError as exc:
        plan.notes.append(f"{path} could not be written ({exc.strerror}): a restarted agent will not find the script")
    return fd


def _not_started_record(plan: Plan, clock: RunClock, error_code: str, error_info: str) -> ExitRecord:
    return ExitRecord(
        execution_id=plan.execution_id,
        reason="not_started",
        started_ms=clock.started_ms,
        finished_ms=clock.now_ms(),
        error_code=error_code,
        error_info=error_info,
        output=KeptOutput(plan.output_limit_bytes),
        notes=plan.notes,
    )
