"""Put what happened into the words of an exit record; pure."""

import signal
from typing import Literal, Protocol

from .output.kept_output import KeptOutput
from .plan import Plan
from .record import ExitRecord, Step

EXIT_CODE_NONZERO = "ExitCodeNonzero"
EXECUTION_TIMEOUT = "ExecutionTimeout"

EndReason = Literal["timeout", "stopped"]


class Ending(Protocol):
    """How a script was ended."""

    reason: EndReason
    survivors: int
    steps: list[Step]


def judge(
    plan: Plan,
    *,
    ending: Ending | None,
    pid: int,
    exit_code: int | None,
    left_running: int,
    started_ms: int,
    finished_ms: int,
    output: KeptOutput,
) -> ExitRecord:
    """Return the record of a script that ended by itself or was ended.

    ``exit_code`` is that of the main process, a negative number for the signal that killed it, None when unknown.
    """
    record = ExitRecord(
        execution_id=plan.execution_id,
        reason=ending.reason if ending else "exited",
        started_ms=started_ms,
        finished_ms=finished_ms,
        output=output,
        pid=pid,
        exit_code=exit_code if exit_code is not None and exit_code >= 0 else None,
        signal=-exit_code if exit_code is not None and exit_code < 0 else None,
        left_running=left_running,
        survivors=ending.survivors if ending else 0,
        steps=ending.steps if ending else [],
        notes=plan.notes,
    )
    record.error_code, record.error_info = _error_of(record, plan)
    if left_running and not ending:
        go_on = "process of the script goes" if left_running == 1 else "processes of the script go"
        record.notes.append(f"{left_running} background {go_on} on running")
    return record


def _error_of(record: ExitRecord, plan: Plan) -> tuple[str, str]:
    processes = "process" if record.survivors == 1 else "processes"
    survived = f"; {record.survivors} {processes} could not be ended" if record.survivors else ""
    if record.reason == "timeout":
        return EXECUTION_TIMEOUT, f"the script ran longer than {plan.timeout_seconds:g} s and was ended{survived}"
    if record.reason == "stopped":
        return "", f"the script was stopped on request{survived}"
    if record.signal is not None:
        return EXIT_CODE_NONZERO, f"the script was killed by signal {signal_name(record.signal)}"
    if record.exit_code:
        return EXIT_CODE_NONZERO, f"the script ended with exit code {record.exit_code}"
    return "", ""


def signal_name(number: int) -> str:
    """``9 (SIGKILL)``, or the bare number of a signal without a name."""
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)
