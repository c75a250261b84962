"""One script on this supervisor: make and claim its folder, start it, see it to its end."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH108

import contextlib
import os
from typing import NamedTuple

from ..channel import Channel, Kind
from ..disk_full import is_disk_full
from ..machine_clock import wall_clock_ms
from ..not_started import EXECUTION_EXCEPTION, EXECUTION_INTERRUPTED, NotStarted
from ..plan import Plan
from ..proc_table import start_ticks_of
from ..record import ExitRecord, StartRecord, load_start, not_started_record
from ..script_file import keep_in_memory, write_script_file
from .child import Child, Launchpad
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
    """Run the plan's script to its end; a script that cannot be started ends at once, with the reason.

    It starts only when the folder is claimed, the journal is on disk and the agent lives.
    """
    claim = _Claim(plan, workplace, channel)
    try:
        return _run(plan, workplace, channel, claim)
    except NotStarted as exc:
        record = not_started_record(
            plan.execution_id,
            exc.error_code,
            exc.error_info,
            output_limit_bytes=plan.output_limit_bytes,
            notes=plan.notes,
        )
        return Performance(record, [], False)
    finally:
        plan.close()


def _run(plan: Plan, workplace: Workplace, channel: Channel, claim: "_Claim") -> Performance:
    child = _start(plan, workplace, channel, claim)
    clock = RunClock()
    tree = ScriptTree(child.pid, workplace.group, is_subreaper=workplace.is_subreaper)

    def announce() -> None:
        """Tell the agent and the disk which process it is, once it is known to be no matter of milliseconds."""
        workplace.protect()
        with contextlib.suppress(OSError):  # an agent that is gone reads the record instead
            channel.send(Kind.STARTED, str(child.pid).encode(), wait=False)
        claim.complete(child.pid, clock.started_ms)

    run = ScriptRun(plan, child, tree, clock, channel=channel, wakeups=workplace.wakeups, announce=announce)
    return Performance(run.to_its_end(workplace.buffer), run.open_streams, run.has_saved_output)


def _start(plan: Plan, workplace: Workplace, channel: Channel, claim: "_Claim") -> Child:
    try:
        _make_files(plan, workplace, claim)
        launchpad = Launchpad(plan, workplace.null_fd)
    except OSError as exc:
        raise NotStarted(EXECUTION_EXCEPTION, f"nothing could be made ready for the script: {exc}") from exc
    try:
        _force(plan)
        if channel.is_alone():
            # The next agent has found our claim; or it did not, and has said that this never runs.
            raise NotStarted(
                EXECUTION_INTERRUPTED,
                "the agent ended before it could start the script, which never ran; invoke it again",
            )
    except NotStarted:
        launchpad.close()
        raise
    return launchpad.start()


def _make_files(plan: Plan, workplace: Workplace, claim: "_Claim") -> None:
    """Put the script where it belongs, the claim before it.

    Raises:
        NotStarted: that cannot be, or somebody else has done so.
    """
    try:
        workplace.folder.make(plan.folder, is_passable=plan.credentials is not None)
    except OSError as exc:
        if not is_disk_full(exc):
            raise NotStarted(
                EXECUTION_EXCEPTION, f"cannot make {plan.folder}: {exc.strerror}; check the agent's home"
            ) from exc
        keep_in_memory(plan, exc)
    claim.make()
    if plan.script_fd is None:
        name = plan.script_path.rpartition("/")[2]
        write_script_file(plan, overwrites=workplace.folder.may_overwrite(name))


def _force(plan: Plan) -> None:
    """Have the journal on disk: a crash at any later point must not lead to a second start.

    Raises:
        NotStarted: that cannot be told, so nothing may be started.
    """
    if plan.journal_fd is None:
        return
    try:
        os.fdatasync(plan.journal_fd)
    except OSError as exc:
        raise NotStarted(
            EXECUTION_EXCEPTION,
            f"the agent's journal of started scripts cannot be written ({exc.strerror}), so nothing is started;"
            " check the disk of its home",
        ) from exc
    finally:
        # Not held for as long as the script runs: the agent may have written another one by then.
        os.close(plan.journal_fd)
        plan.journal_fd = None


def remove_script(plan: Plan) -> None:
    """Remove a script that has ended, unless it is to be kept."""
    if not plan.keep_script:
        with contextlib.suppress(OSError):
            os.unlink(plan.script_path)


class _Claim:
    """Who runs this execution, on disk before anything of it runs.

    The file is created exclusively: an agent that finds a folder without it and gives the execution up creates it
    too, and exactly one of both succeeds.
    """

    def __init__(self, plan: Plan, workplace: Workplace, channel: Channel) -> None:
        self._plan = plan
        self._channel = channel
        self._start = StartRecord(
            execution_id=plan.execution_id,
            boot_id=workplace.boot_id,
            supervisor_pid=workplace.pid,
            supervisor_start_ticks=workplace.start_ticks,
            cgroup=workplace.group.path if workplace.group else "",
            started_ms=wall_clock_ms(),
        )
        self._folder = workplace.folder
        self._is_made = False

    def make(self) -> None:
        """Claim the execution; where the disk takes nothing, with a note, and the agent is given the claim instead.

        Raises:
            NotStarted: somebody gave this execution up, or another supervisor runs it.
            OSError: there is no memory to tell the agent.
        """
        try:
            self._folder.claim(self._plan.folder, self._start.to_bytes())
        except FileExistsError:
            raise _claimed_before(self._plan.folder) from None
        except OSError as exc:
            self._plan.notes.append(
                f"{self._plan.folder} could not be written ({exc.strerror}): only processes tell that the script runs"
            )
            # Without either, an agent whose supervisor is killed would have another one start the script once more.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # of no agent nothing is started
                self._channel.send(Kind.UNWRITTEN_CLAIM, self._start.to_bytes())
        else:
            self._is_made = True

    def complete(self, pid: int, started_ms: int) -> None:
        """Add which process it is."""
        if not self._is_made:
            return
        self._start.pid, self._start.started_ms = pid, started_ms
        self._start.start_ticks = start_ticks_of(pid)
        with contextlib.suppress(OSError):  # the part that was written before the start names the supervisor
            self._folder.complete_claim(self._start.to_bytes())


def _claimed_before(folder: str) -> NotStarted:
    """Say who was first: an agent that gave the execution up has left an empty claim, or the beginning of one."""
    start = load_start(folder)
    if start is None:
        return NotStarted(
            EXECUTION_INTERRUPTED,
            "the agent gave this execution up before its script started, which never ran; invoke it again",
        )
    return NotStarted(
        EXECUTION_INTERRUPTED,
        f"supervisor {start.supervisor_pid} had claimed this execution before, so its script was not started once more;"
        " look on this instance whether it has run before you invoke it again",
    )
