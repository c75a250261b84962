"""One script on this supervisor: claim its folder, start it, see it to its end, tidy up."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH108

import contextlib
import os
from typing import NamedTuple

from ..channel import Channel, Kind
from ..not_started import EXECUTION_EXCEPTION, NotStarted
from ..output import KeptOutput
from ..plan import Plan
from ..proc_table import start_ticks_of
from ..record import STARTED_FILE, ExitRecord, StartRecord
from .child import start_child
from .clocks import RunClock
from .script_run import ScriptRun
from .tree import ScriptTree
from .workplace import Workplace


class Performance(NamedTuple):
    """How it went, the pipes that background processes still hold, and whether output was saved meanwhile."""

    record: ExitRecord
    open_streams: list[int]
    has_saved_output: bool


def perform(plan: Plan, workplace: Workplace, channel: Channel) -> Performance:
    """Run the plan's script to its end; a script that cannot be started ends at once, with the reason."""
    clock = RunClock()
    start = StartRecord(
        execution_id=plan.execution_id,
        boot_id=workplace.boot_id,
        supervisor_pid=workplace.pid,
        supervisor_start_ticks=workplace.start_ticks,
        cgroup=workplace.group.path if workplace.group else "",
        started_ms=clock.started_ms,
    )
    try:
        claim_fd = _claim(plan, start)
        try:
            return _run(plan, start, claim_fd, workplace=workplace, channel=channel, clock=clock)
        finally:
            if claim_fd is not None:
                os.close(claim_fd)
    except NotStarted as exc:
        return Performance(_not_started_record(plan, exc, clock), [], False)
    finally:
        _remove_script(plan)


def _run(
    plan: Plan, start: StartRecord, claim_fd: int | None, *, workplace: Workplace, channel: Channel, clock: RunClock
) -> Performance:
    child = start_child(plan, workplace.null_fd, plan.notes)
    start.pid = child.process.pid
    tree = ScriptTree(start.pid, workplace.group, is_subreaper=workplace.is_subreaper)

    def announce() -> None:
        """Tell the agent and the disk which process it is, once it is known to be no matter of milliseconds."""
        workplace.protect()
        with contextlib.suppress(OSError):  # an agent that is gone reads the record instead
            channel.send(Kind.STARTED, str(start.pid).encode(), wait=False)
        if claim_fd is not None:
            start.start_ticks = start_ticks_of(start.pid)
            with contextlib.suppress(OSError):  # the part that was written before the start names the supervisor
                os.pwrite(claim_fd, start.to_bytes(), 0)

    run = ScriptRun(plan, child, tree, clock, channel=channel, wakeups=workplace.wakeups, announce=announce)
    return Performance(run.to_its_end(workplace.buffer), run.open_streams, run.has_saved_output)


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


def _remove_script(plan: Plan) -> None:
    plan.close()
    if not plan.keep_script:
        with contextlib.suppress(OSError):
            os.unlink(plan.script_path)


def _not_started_record(plan: Plan, exc: NotStarted, clock: RunClock) -> ExitRecord:
    return ExitRecord(
        execution_id=plan.execution_id,
        reason="not_started",
        started_ms=clock.started_ms,
        finished_ms=clock.now_ms(),
        error_code=exc.error_code,
        error_info=exc.error_info,
        output=KeptOutput(plan.output_limit_bytes),
        notes=plan.notes,
    )
