"""The end of an execution as the agent writes it into the ledger row and as everybody reads it."""

from collections.abc import Mapping, Sequence

import msgspec

from .ids import split_execution_id
from .redis.connection import Argument
from .reported_values import json_list, maybe_number, text, whole_number
from .states import ExecutionState, known_state

STDOUT = 1
STDERR = 2


class KeptStreams(msgspec.Struct, frozen=True, kw_only=True):
    """Output that was kept: head and tail of both streams in order of arrival, and what is missing between."""

    data: bytes = b""
    #: (stream, byte count) runs that cover ``data``; empty means all of it is stdout.
    runs: tuple[tuple[int, int], ...] = ()
    dropped_bytes: int = 0
    #: Where in ``data`` the dropped bytes belong.
    gap_at: int = 0

    def stream(self, number: int) -> bytes:
        """The kept bytes of one stream."""
        if not self.runs:
            return self.data if number == STDOUT else b""
        parts, position = [], 0
        for stream, count in self.runs:
            if stream == number:
                parts.append(self.data[position : position + count])
            position += count
        return b"".join(parts)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended, in the agent's words."""

    state: ExecutionState
    started_ms: int = 0
    finished_ms: int = 0
    exit_code: int | None = None
    signal: int | None = None
    error_code: str = ""
    error_info: str = ""
    output: KeptStreams = KeptStreams()
    #: Processes of the script still alive after a stop or a timeout; the promise is 0.
    survivors: int | None = None
    #: Background processes that a script which ended by itself has left behind.
    left_running: int = 0
    #: Evidence of a stop or timeout: what was done when, and to how many processes.
    steps: Sequence[Mapping[str, str | int]] = ()
    notes: Sequence[str] = ()

    def fields(self) -> dict[str, Argument]:
        """The fields of the ledger row; empty ones are left out."""
        fields: dict[str, Argument] = {"finished_ms": self.finished_ms, "output": self.output.data}
        optional: dict[str, Argument | None] = {
            "started_ms": self.started_ms or None,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "error_code": self.error_code or None,
            "error_info": self.error_info or None,
            "streams": format_runs(self.output.runs) or None,
            "dropped_bytes": self.output.dropped_bytes or None,
            "gap_at": self.output.gap_at or None,
            "survivors": self.survivors,
            "left_running": self.left_running or None,
            "steps": msgspec.json.encode(self.steps) if self.steps else None,
            "notes": msgspec.json.encode(self.notes) if self.notes else None,
        }
        fields.update({name: value for name, value in optional.items() if value is not None})
        return fields


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger, read."""

    execution_id: str
    invoke_id: str
    instance_id: str
    firing_ms: int
    state: str
    command_id: str = ""
    created_ms: int = 0
    deadline_ms: int = 0
    claimed_ms: int = 0
    stop_ms: int = 0
    epoch: str = ""
    boot_id: str = ""
    outcome: Outcome
    #: Earlier ends that a later truth replaced, oldest first, as text.
    history: tuple[str, ...] = ()
    timeout_seconds: int = 0
    #: Which execution of a timed invocation on its instance it is, if it was taken; 0 where nobody counted.
    repeats: int = 0


def format_runs(runs: Sequence[tuple[int, int]]) -> str:
    """Write stream runs as ``1:120,2:3``; all stdout is ``""``."""
    if all(stream == STDOUT for stream, _ in runs):
        return ""
    return ",".join(f"{stream}:{count}" for stream, count in runs)


def parse_runs(written: str) -> tuple[tuple[int, int], ...]:
    """Read stream runs."""
    if not written:
        return ()
    pairs = (one.partition(":") for one in written.split(",") if one)
    return tuple((whole_number(stream), max(0, whole_number(count))) for stream, _, count in pairs)


#: What ``read_fields`` reads of a row but the output, which may be a hundred times as long as all the rest.
FIELDS_WITHOUT_OUTPUT = (
    *("state", "command_id", "created_ms", "deadline_ms", "claimed_ms", "stop_ms", "epoch", "boot_id", "history"),
    *("timeout_seconds", "repeats", "started_ms", "finished_ms", "exit_code", "signal", "error_code", "error_info"),
    *("dropped_bytes", "gap_at", "survivors", "left_running", "steps", "notes"),
)


def read_row(execution_id: str, reply: Sequence[bytes]) -> ExecutionRow | None:
    """Read the reply to HGETALL of a ledger row; ``None`` when there is no row.

    The agent may have written anything there: what is no number counts as not said, an unknown state is ``Error``.
    """
    row = dict(zip(reply[::2], reply[1::2], strict=True))
    return read_fields(execution_id, row) if row.get(b"state") else None


def read_fields(execution_id: str, row: Mapping[bytes, bytes]) -> ExecutionRow:
    """Read the fields of a ledger row, as ``read_row`` does."""
    parts = split_execution_id(execution_id)
    if parts is None:
        raise ValueError(f"{execution_id!r} is not an execution id")

    given = row.get
    state = known_state(text(given(b"state")))
    outcome = Outcome(
        state=ExecutionState(state),
        started_ms=whole_number(given(b"started_ms")),
        finished_ms=whole_number(given(b"finished_ms")),
        exit_code=maybe_number(given(b"exit_code")),
        signal=maybe_number(given(b"signal")),
        error_code=text(given(b"error_code")),
        error_info=text(given(b"error_info")),
        output=KeptStreams(
            data=given(b"output") or b"",
            runs=parse_runs(text(given(b"streams"))),
            dropped_bytes=whole_number(given(b"dropped_bytes")),
            gap_at=whole_number(given(b"gap_at")),
        ),
        survivors=maybe_number(given(b"survivors")),
        left_running=whole_number(given(b"left_running")),
        steps=json_list(given(b"steps")),
        notes=json_list(given(b"notes")),
    )
    return ExecutionRow(
        execution_id=execution_id,
        invoke_id=parts[0],
        firing_ms=parts[1],
        instance_id=parts[2],
        state=state,
        command_id=text(given(b"command_id")),
        created_ms=whole_number(given(b"created_ms")),
        deadline_ms=whole_number(given(b"deadline_ms")),
        claimed_ms=whole_number(given(b"claimed_ms")),
        stop_ms=whole_number(given(b"stop_ms")),
        epoch=text(given(b"epoch")),
        boot_id=text(given(b"boot_id")),
        outcome=outcome,
        history=tuple(one for one in text(given(b"history")).split(";") if one),
        timeout_seconds=whole_number(given(b"timeout_seconds")),
        repeats=whole_number(given(b"repeats")),
    )
