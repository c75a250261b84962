import os
from typing import Any

import pytest

from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.record import ExitRecord, Step
from cloud_assistant.worker.outcomes import checked, interrupted, outcome_of, refused


def record(**fields: Any) -> ExitRecord:
    output = fields.pop("output", KeptOutput(1024))
    return ExitRecord(execution_id="t", started_ms=5, finished_ms=9, output=output, **fields)


@pytest.mark.parametrize(
    ("fields", "state", "code", "info"),
    [
        ({"reason": "exited", "exit_code": 0}, "Success", "", ""),
        ({"reason": "exited", "exit_code": 3}, "Failed", "ExitCodeNonzero", "exit code 3"),
        ({"reason": "exited", "signal": 9}, "Failed", "ExitCodeNonzero", "killed by signal 9 (SIGKILL)"),
        ({"reason": "exited", "signal": 63}, "Failed", "ExitCodeNonzero", "killed by signal 63"),
        ({"reason": "timeout", "signal": 15}, "Timeout", "ExecutionTimeout", "the timeout expired"),
        ({"reason": "stopped", "signal": 15}, "Terminated", "", ""),
        (
            {"reason": "not_started", "error_code": "DirectoryNotExists", "error_info": "no /x"},
            "Invalid",
            "DirectoryNotExists",
            "no /x",
        ),
        ({"reason": "supervisor_lost", "error_info": "killed"}, "Error", "ExecutionInterrupted", "killed"),
    ],
)
def test_each_end_has_its_state_and_code(fields: dict[str, Any], state: str, code: str, info: str) -> None:
    outcome = outcome_of(record(**fields))

    assert (outcome.state, outcome.error_code, outcome.error_info) == (state, code, info)
    assert (outcome.started_ms, outcome.finished_ms) == (5, 9)


def test_a_path_that_is_no_utf8_does_not_cost_the_result() -> None:
    """Such as the home of a user from before UTF-8, in a note that it does not exist."""
    path = os.fsdecode(b"/home/jos\xe9")
    ends = [
        outcome_of(record(reason="exited", exit_code=0, notes=[path])),
        outcome_of(record(reason="not_started", error_info=path)),
        refused("ExecutionException", path),
        checked([path]),
    ]

    for end in ends:
        assert [*end.notes, end.error_info][0] == r"/home/jos\udce9"
        assert end.fields()


def test_steps_and_notes_are_bounded() -> None:
    end = outcome_of(record(reason="timeout", steps=[Step("SIGTERM", 7, 2)] * 1000, notes=["a note"] * 1000))
    assert (len(end.steps), len(end.notes)) == (32, 32)


def test_survivors_are_told_only_where_something_was_killed() -> None:
    steps = [Step("SIGTERM", 7, 2)]

    assert outcome_of(record(reason="timeout", steps=steps)).survivors == 0
    assert outcome_of(record(reason="timeout", steps=steps)).steps == [
        {"what": "SIGTERM", "at_ms": 7, "process_count": 2}
    ]
    assert outcome_of(record(reason="exited", exit_code=0)).survivors is None


def test_both_streams_and_the_gap_are_kept() -> None:
    output = KeptOutput(40)
    output.feed(1, b"begin\n")
    output.feed(2, b"middle" * 50)
    output.feed(1, b"end\n")
    output.finish()

    kept = outcome_of(record(reason="exited", exit_code=0, output=output)).output

    assert kept.data == output.merged()
    assert kept.dropped_bytes == 310 - len(kept.data)
    assert kept.data[: kept.gap_at].startswith(b"begin\n")
    assert sum(count for _, count in kept.runs) == len(kept.data)
    assert kept.stream(1) == b"begin\nend\n"

    whole = KeptOutput(4000)
    whole.feed(1, b"begin\n")
    kept = outcome_of(record(reason="exited", exit_code=0, output=whole)).output
    assert (kept.dropped_bytes, kept.gap_at) == (0, 0)


def test_a_refusal_gets_the_state_of_its_code() -> None:
    assert refused("AccountNotExists", "no such user").state == "Invalid"
    assert interrupted("gone").error_code == "ExecutionInterrupted"
