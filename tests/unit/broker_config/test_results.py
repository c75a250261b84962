"""The end of an execution, written into a row and read back."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.broker_config.ids import execution_id, new_id
from cloud_assistant.broker_config.results import (
    FIELDS_WITHOUT_OUTPUT,
    KeptStreams,
    Outcome,
    format_runs,
    parse_runs,
    read_fields,
    read_row,
)
from cloud_assistant.broker_config.states import ExecutionState

EXECUTION = execution_id(new_id("t"), 0, "i-1")

runs = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 50)), max_size=8)


def as_reply(outcome: Outcome) -> list[bytes]:
    """What HGETALL answers for a row with this outcome."""
    reply = [b"state", outcome.state.encode()]
    for name, value in outcome.fields().items():
        reply += [name.encode(), value if isinstance(value, bytes) else str(value).encode()]
    return reply


@given(
    state=st.sampled_from(ExecutionState),
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(1, 64),
    info=st.text(),
    dropped=st.integers(0, 2**40),
    parts=runs,
    steps=st.lists(st.dictionaries(st.text(), st.integers() | st.text(), max_size=2), max_size=3),
    notes=st.lists(st.text(), max_size=3),
)
def test_an_outcome_reads_back_as_it_was_written(
    state: ExecutionState,
    exit_code: int | None,
    signal: int | None,
    info: str,
    dropped: int,
    parts: list[tuple[int, int]],
    steps: list[dict[str, int | str]],
    notes: list[str],
) -> None:
    written = Outcome(
        state=state,
        started_ms=5,
        finished_ms=7,
        exit_code=exit_code,
        signal=signal,
        error_info=info.encode("utf-8", "replace").decode(),
        output=KeptStreams(
            data=bytes(sum(count for _, count in parts)),
            runs=parse_runs(format_runs(parts)),
            dropped_bytes=dropped,
            gap_at=3,
        ),
        steps=tuple(steps),
        notes=tuple(notes),
        survivors=0,
    )
    row = read_row(EXECUTION, as_reply(written))
    assert row is not None
    read = row.outcome
    assert (read.state, read.exit_code, read.signal) == (state, exit_code, signal)
    assert (read.error_info, read.survivors) == (written.error_info, 0)
    assert read.output == written.output
    assert list(read.steps) == steps
    assert list(read.notes) == notes


def test_the_two_streams_come_apart_in_their_order() -> None:
    kept = KeptStreams(data=b"aXbbYYc", runs=((1, 1), (2, 1), (1, 2), (2, 2), (1, 1)))
    assert kept.stream(1) == b"abbc"
    assert kept.stream(2) == b"XYY"


def test_output_without_runs_is_all_stdout() -> None:
    assert KeptStreams(data=b"abc").stream(1) == b"abc"
    assert KeptStreams(data=b"abc").stream(2) == b""


def test_a_missing_row_is_none() -> None:
    assert read_row(EXECUTION, []) is None


def test_a_foreign_id_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an execution id"):
        read_row("nonsense", [b"state", b"Pending"])


def test_a_target_that_had_no_execution_yet_has_no_row() -> None:
    assert read_row("", []) is None
    assert read_row(EXECUTION, [b"exit_code", b"0"]) is None


def test_the_names_of_all_fields_but_the_output_are_those_that_are_read() -> None:
    class Asked(dict[bytes, bytes]):
        names: ClassVar[list[str]] = []

        def get(self, name: bytes, default: object = None) -> None:  # type: ignore[override]
            self.names.append(name.decode())

    read_fields(EXECUTION, Asked())
    assert set(Asked.names) - {"output", "streams"} == set(FIELDS_WITHOUT_OUTPUT)
