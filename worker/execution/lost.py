"""Settle an execution whose supervisor is gone: end what is left of its script and write the record it could not."""

import contextlib
import os
import signal
import time
from pathlib import Path

from .cgroup import kill_group, members_of
from .invocation_facts import EXECUTION_MARKER
from .machine_clock import wall_clock_ms
from .not_started import EXECUTION_EXCEPTION, EXECUTION_INTERRUPTED
from .output.kept_output import KeptOutput
from .proc_table import (
    ProcessEntry,
    boot_id,
    carries_variable,
    entry_if_known,
    is_for_want,
    living,
    send_signal,
    start_ticks_of,
    with_descendants,
)
from .record import (
    CRASH_FILE,
    EXIT_FILE,
    OUTPUT_FILE,
    STARTED_FILE,
    ExitRecord,
    StartRecord,
    Step,
    load_output,
    load_start,
    not_started_record,
    replace_file,
)
from .script import OUTPUT_LIMIT_BYTES

#: A process in an uninterruptible wait cannot be killed; after this long it is reported as a survivor.
_GIVE_UP_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.02
#: How the command line of every supervisor ends but for its descriptor, in whatever folder its version is.
_SUPERVISOR_PROGRAM = b"/execution/supervisor/__main__.py"


def give_up(folder: Path) -> bool:
    """Make sure that an execution nobody has started is never started; False when somebody did meanwhile.

    Supervisors create the same file, exclusively, before they start anything. Where the disk takes nothing, they start
    nothing either once their agent is gone.
    """
    try:
        fd = os.open(folder / STARTED_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return load_start(str(folder)) is None
    except OSError:
        return True
    os.close(fd)
    return True


def settle_lost(folder: Path, execution_id: str, claim: StartRecord | None = None) -> ExitRecord:
    """Kill what is left of the script, and return and write the record that its supervisor did not write.

    ``claim`` is what is known of its start where the folder does not tell. After return no process of the script lives,
    unless ``survivors`` says otherwise.

    Raises:
        OSError: nobody can say: there is no descriptor, or no memory, to look with.
    """
    start = load_start(str(folder)) or claim
    if start is None and not give_up(folder):
        start = load_start(str(folder))
    if start is None:
        record = not_started_record(
            execution_id,
            EXECUTION_EXCEPTION,
            "the supervisor ended before it started the script; run it again",
            output_limit_bytes=OUTPUT_LIMIT_BYTES,
        )
    elif start.boot_id != boot_id():
        record = _interrupted(folder, start, "the machine was restarted while the script ran")
    else:
        record = _interrupted(folder, start, "the script's supervisor was killed while the script ran")
        record.steps, record.survivors = end_remains(start)
    if crash := _crash_text(folder):
        record.notes.append(crash)
    try:
        replace_file(str(folder / EXIT_FILE), record.to_bytes())
    except OSError as exc:
        # Its output stays beside it, for an agent that comes after this one.
        record.notes.append(f"the result could not be written to {folder / EXIT_FILE}: {exc.strerror}")
        return record
    for path in (folder / OUTPUT_FILE, *folder.glob("script.*")):
        with contextlib.suppress(OSError):
            path.unlink()
    return record


def end_remains(start: StartRecord) -> tuple[list[Step], int]:
    """Kill every process of a script that has no supervisor any more; return the evidence and the survivors.

    Its processes are found by control group, by session, by the variable each was started with, and as descendants
    of those.
    """
    steps: list[Step] = []
    give_up_at = time.monotonic() + _GIVE_UP_SECONDS
    while remains := _remains_of(start):
        if not steps:
            steps.append(Step("SIGKILL after the supervisor was lost", wall_clock_ms(), len(remains)))
        elif time.monotonic() >= give_up_at:
            break
        if start.cgroup:
            kill_group(start.cgroup)
        for entry in remains:
            send_signal(entry, signal.SIGKILL)
        time.sleep(_LOOK_AGAIN_SECONDS)
    steps.append(Step("verified", wall_clock_ms(), len(remains)))
    if start.cgroup:
        with contextlib.suppress(OSError):
            Path(start.cgroup).rmdir()
    return steps, len(remains)


def _remains_of(start: StartRecord) -> list[ProcessEntry]:
    table = living(entry_if_known)
    marker = f"{EXECUTION_MARKER}={start.execution_id}".encode()
    roots = set(members_of(start.cgroup)) if start.cgroup else set()
    # A session outlives its leader, but a pid that was reused for another leader names another session.
    leader_ticks = start_ticks_of(start.pid) if start.pid else 0
    session_is_ours = start.pid > 0 and leader_ticks in (0, start.start_ticks)
    for entry in table:
        if entry.start_ticks < start.supervisor_start_ticks:
            continue
        if (session_is_ours and entry.session_id == start.pid) or carries_variable(entry.pid, marker):
            roots.add(entry.pid)
    roots.discard(os.getpid())
    return with_descendants(roots, table)


def claim_of_living(execution_id: str) -> StartRecord | None:
    """Find out who runs an execution whose claim the disk did not take, by what lives of its script; None for nobody.

    Its first process carries its id and is the child of one of our supervisors.

    Raises:
        OSError: nobody can say: there is no descriptor, or no memory, to look with.
    """
    marker = f"{EXECUTION_MARKER}={execution_id}".encode()
    try:
        table = living(entry_if_known)
    except OSError as exc:
        if is_for_want(exc):
            raise
        return None
    by_pid = {entry.pid: entry for entry in table}
    carriers = sorted((one for one in table if carries_variable(one.pid, marker)), key=lambda one: one.start_ticks)
    for entry in carriers:
        supervisor = by_pid.get(entry.parent_pid)
        if supervisor is not None and _is_supervisor(supervisor.pid):
            return StartRecord(
                execution_id=execution_id,
                boot_id=boot_id(),
                supervisor_pid=supervisor.pid,
                supervisor_start_ticks=supervisor.start_ticks,
                cgroup="",
                started_ms=wall_clock_ms() - _age_ms(entry),
                pid=entry.session_id,
                start_ticks=start_ticks_of(entry.session_id),
            )
    return None


def _is_supervisor(pid: int) -> bool:
    """Tell whether a process is a supervisor of this user: of this agent, or of another version of it."""
    try:
        folder = Path(f"/proc/{pid}")
        is_ours = folder.stat().st_uid == os.geteuid()
        command = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return is_ours and any(one.endswith(_SUPERVISOR_PROGRAM) for one in command)


def _age_ms(entry: ProcessEntry) -> int:
    up_seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0, int((up_seconds - entry.start_ticks / os.sysconf("SC_CLK_TCK")) * 1000))


def is_supervised(start: StartRecord) -> bool:
    """Tell whether the supervisor of this execution still lives.

    Raises:
        OSError: nobody can say: there is no descriptor, or no memory, to look with.
    """
    if start.boot_id != boot_id():
        return False
    supervisor = entry_if_known(start.supervisor_pid)
    return supervisor is not None and supervisor.start_ticks == start.supervisor_start_ticks


def _interrupted(folder: Path, start: StartRecord, what: str) -> ExitRecord:
    return ExitRecord(
        execution_id=start.execution_id,
        reason="supervisor_lost",
        pid=start.pid,
        started_ms=start.started_ms,
        finished_ms=max(start.started_ms, wall_clock_ms()),
        error_code=EXECUTION_INTERRUPTED,
        error_info=f"{what}; its exit code is unknown, and its output is that of at most a second before",
        output=load_output(str(folder)) or KeptOutput(OUTPUT_LIMIT_BYTES),
    )


def _crash_text(folder: Path) -> str:
    try:
        return (folder / CRASH_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
