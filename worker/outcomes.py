"""Say in the ledger's words how an execution ended."""

from collections.abc import Sequence

from ..broker_config.clock import now_ms
from ..broker_config.error_codes import STATE_OF, ErrorCode
from ..broker_config.results import KeptStreams, Outcome
from ..broker_config.states import ExecutionState as S
from .execution.output.kept_output import KeptOutput
from .execution.record import ExitRecord
from .execution.verdict import signal_name

#: Steps and notes in a result; a script cannot make more, this bounds what a defect could.
_MOST_NOTES = 32


def outcome_of(record: ExitRecord) -> Outcome:
    """Translate a supervisor's exit record."""
    state, code, info = _verdict(record)
    killed = record.reason in ("timeout", "stopped")
    return Outcome(
        state=state,
        started_ms=record.started_ms,
        finished_ms=record.finished_ms,
        exit_code=record.exit_code,
        signal=record.signal,
        error_code=code,
        error_info=_storable(info),
        output=kept_streams(record.output),
        survivors=record.survivors if killed else None,
        left_running=record.left_running,
        steps=[
            {"what": s.what, "at_ms": s.at_ms, "process_count": s.process_count} for s in record.steps[:_MOST_NOTES]
        ],
        notes=[_storable(note) for note in record.notes[:_MOST_NOTES]],
    )


def refused(code: str, info: str) -> Outcome:
    """The end of an execution whose script never started; its state follows from the code."""
    return Outcome(state=STATE_OF[ErrorCode(code)], finished_ms=now_ms(), error_code=code, error_info=_storable(info))


def interrupted(info: str) -> Outcome:
    """The end of an execution that broke off, and nobody can say how far it came."""
    return refused(ErrorCode.EXECUTION_INTERRUPTED, info)


def stopped_before_start() -> Outcome:
    """The end of an execution that was stopped after its claim and before its script."""
    return Outcome(state=S.TERMINATED, finished_ms=now_ms(), error_info="stopped before the script was started")


def checked(notes: Sequence[str]) -> Outcome:
    """The end of a dry run that found nothing wrong."""
    return Outcome(state=S.SUCCESS, finished_ms=now_ms(), notes=[_storable(note) for note in notes])


def kept_streams(output: KeptOutput) -> KeptStreams:
    """Put head and tail together, with the place of what is missing."""
    head, tail = output.head, output.tail
    runs: list[tuple[int, int]] = []
    for stream, data in (*head, *tail):
        if runs and runs[-1][0] == stream:
            runs[-1] = (stream, runs[-1][1] + len(data))
        else:
            runs.append((stream, len(data)))
    return KeptStreams(
        data=b"".join(data for _, data in (*head, *tail)),
        runs=tuple(runs),
        dropped_bytes=output.dropped_bytes,
        gap_at=sum(len(data) for _, data in head) if output.dropped_bytes else 0,
    )


def _storable(text: str) -> str:
    """Write what is no Unicode as escapes: a path may have bytes that are no UTF-8, and no ledger takes those."""
    return text.encode("utf-8", "backslashreplace").decode()


def _verdict(record: ExitRecord) -> tuple[S, str, str]:
    if record.reason == "exited":
        if record.exit_code == 0:
            return S.SUCCESS, "", ""
        how = f"exit code {record.exit_code}"
        if record.signal is not None:
            how = f"killed by signal {signal_name(record.signal)}"
        return S.FAILED, ErrorCode.EXIT_CODE_NONZERO, how
    if record.reason == "timeout":
        return S.TIMEOUT, ErrorCode.EXECUTION_TIMEOUT, record.error_info or "the timeout expired"
    if record.reason == "stopped":
        return S.TERMINATED, "", record.error_info
    if record.reason == "not_started":
        code = ErrorCode(record.error_code or ErrorCode.EXECUTION_EXCEPTION)
        return STATE_OF[code], code, record.error_info
    return S.ERROR, ErrorCode.EXECUTION_INTERRUPTED, record.error_info or "the supervisor of the script was killed"
