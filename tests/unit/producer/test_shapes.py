"""What is told of an execution, under the API's names."""

from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config.ledger import InvocationStatus, StoredInvocation
from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType
from cloud_assistant.broker_config.results import STDERR, STDOUT, ExecutionRow, KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState, InvocationState
from cloud_assistant.producer.invocations.describing import DescribedInvocation
from cloud_assistant.producer.invocations.describing_results import DescribedResult
from cloud_assistant.producer.shapes import as_text, full_result_shape, invocation_shape, result_shape

AT_MS = 1_800_000_000_000
COMMAND = Command(command_id="c-1", name="n", type=ScriptType.SHELL, content=b"true", created_ms=AT_MS)


def row(state: ExecutionState, *, outcome: dict[str, Any] | None = None, **fields: Any) -> ExecutionRow:
    return ExecutionRow(
        execution_id="t-00000000.0@i-1",
        invoke_id="t-00000000",
        instance_id="i-1",
        firing_ms=0,
        state=state.value,
        outcome=Outcome(state=state, **(outcome or {})),
        **fields,
    )


def stored(mode: RepeatMode, *, repeats: int = 0) -> StoredInvocation:
    record = Invocation(
        invoke_id="t-00000000",
        command=COMMAND,
        created_ms=AT_MS,
        target_count=1,
        timeout_seconds=60,
        payload_token="",
        done_channel="",
        schedule=Schedule(repeat_mode=mode),
    )
    return StoredInvocation(record=record, repeats=repeats)


def test_until_it_has_ended_nothing_is_said_of_its_end() -> None:
    shape = full_result_shape(row(ExecutionState.RUNNING, outcome={"started_ms": AT_MS}))
    assert (shape["StartTime"], shape["FinishedTime"], shape["DurationMs"]) == ("2027-01-15T08:00:00Z", "", None)
    assert shape["ExitCode"] is None
    assert "ExitCode" not in result_shape(DescribedResult(row(ExecutionState.RUNNING), None), as_text)


@pytest.mark.parametrize(
    ("started_ms", "finished_ms", "duration_ms"),
    [(AT_MS, AT_MS + 1_500, 1_500), (AT_MS, AT_MS - 1, 0), (0, AT_MS, None)],
    ids=["ran", "clock set back", "never began"],
)
def test_it_took_no_less_than_nothing(started_ms: int, finished_ms: int, duration_ms: int | None) -> None:
    ended = row(ExecutionState.FAILED, outcome={"started_ms": started_ms, "finished_ms": finished_ms, "exit_code": 3})
    shape = full_result_shape(ended)
    assert (shape["DurationMs"], shape["ExitCode"]) == (duration_ms, 3)
    assert shape["FinishedTime"]


def test_output_is_told_as_it_came_by_stream_and_with_the_place_of_what_is_missing() -> None:
    kept = KeptStreams(data=b"out\xff\nerr", runs=((STDOUT, 5), (STDERR, 3)), dropped_bytes=7, gap_at=5)
    shape = full_result_shape(row(ExecutionState.SUCCESS, outcome={"output": kept}))
    assert (shape["Output"], shape["OutputBase64"]) == ("out\ufffd\nerr", "b3V0/wplcnI=")
    assert (shape["StandardOutput"], shape["StandardError"]) == ("out\ufffd\n", "err")
    assert (shape["Dropped"], shape["GapAt"]) == (7, 5)
    whole = full_result_shape(row(ExecutionState.SUCCESS, outcome={"output": KeptStreams(data=b"x", gap_at=1)}))
    assert (whole["Dropped"], whole["GapAt"]) == (0, None)


@pytest.mark.parametrize(
    ("mode", "counted", "claimed_ms", "repeats"),
    [
        (RepeatMode.ONCE, 0, 0, 0),
        (RepeatMode.ONCE, 0, AT_MS, 1),
        (RepeatMode.PERIOD, 4, 0, 3),
        (RepeatMode.PERIOD, 4, AT_MS, 4),
        # Of an earlier release: every due time counts.
        (RepeatMode.PERIOD, 0, AT_MS, 9),
    ],
)
def test_so_often_has_it_run_on_its_instance(mode: RepeatMode, counted: int, claimed_ms: int, repeats: int) -> None:
    execution = row(ExecutionState.ABORTED, repeats=counted, claimed_ms=claimed_ms)
    assert result_shape(DescribedResult(execution, stored(mode, repeats=9)), as_text)["Repeats"] == repeats
    none_yet = msgspec.structs.replace(row(ExecutionState.SCHEDULED), execution_id="")
    assert result_shape(DescribedResult(none_yet, stored(mode, repeats=9)), as_text)["Repeats"] == 0


def test_of_an_invocation_that_is_gone_its_result_is_told() -> None:
    ended = row(ExecutionState.SUCCESS, outcome={"exit_code": 0}, claimed_ms=AT_MS, command_id="c-1")
    shape = result_shape(DescribedResult(ended, None), as_text)
    told = [shape[name] for name in ("InvokeId", "CommandId", "ExitCode", "Repeats", "Username", "Tags")]
    assert told == ["t-00000000", "c-1", 0, 1, "", {"Tag": []}]


@pytest.mark.parametrize(
    ("state", "outcome", "moment"),
    [
        (ExecutionState.PENDING, {}, "2027-01-15T08:00:00Z"),
        (ExecutionState.RUNNING, {"started_ms": AT_MS + 1_000}, "2027-01-15T08:00:01Z"),
        (ExecutionState.SUCCESS, {"started_ms": AT_MS + 1_000, "finished_ms": AT_MS + 2_000}, "2027-01-15T08:00:02Z"),
    ],
)
def test_it_was_updated_when_it_last_moved(state: ExecutionState, outcome: dict[str, int], moment: str) -> None:
    execution = row(state, outcome={**outcome, "output": KeptStreams(data=b"x")}, created_ms=AT_MS)
    status = InvocationStatus(state=InvocationState.RUNNING, counts={})
    one = DescribedInvocation(stored=stored(RepeatMode.ONCE), status=status, legacy_status="Running", rows=[execution])
    for include_output, output in ((False, ""), (True, "x")):
        shape = invocation_shape(one, as_text, include_output=include_output)
        (told,) = shape["InvokeInstances"]["InvokeInstance"]
        assert (told["UpdateTime"], told["Output"]) == (moment, output)
