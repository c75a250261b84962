from typing import Literal

import pytest

from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.record import ExitRecord, Step
from cloud_assistant.worker.execution.supervisor.termination import Termination
from cloud_assistant.worker.execution.verdict import judge


def verdict(
    status: int | None, ending: Literal["timeout", "stopped"] | None = None, *, survivors: int = 0, left: int = 0
) -> ExitRecord:
    plan = Plan(
        execution_id="x",
        folder="/f",
        arguments=[],
        script_path="/f/s",
        environment={},
        working_directory="/",
        working_directory_is_default=True,
        credentials=None,
        timeout_seconds=2.5,
        grace_seconds=1,
        drain_seconds=1,
        kills_tree=True,
        output_limit_bytes=10,
        keep_script=False,
    )
    termination = None
    if ending:
        termination = Termination.__new__(Termination)
        termination.reason, termination.survivors, termination.steps = ending, survivors, [Step("s", 1, 1)]
    return judge(
        plan,
        ending=termination,
        pid=5,
        exit_code=status,
        left_running=left,
        started_ms=1,
        finished_ms=2,
        output=KeptOutput(10),
    )


def test_success() -> None:
    record = verdict(0)
    assert (record.reason, record.exit_code, record.signal, record.error_code, record.error_info) == (
        "exited",
        0,
        None,
        "",
        "",
    )


def test_an_exit_code() -> None:
    record = verdict(3)
    assert (record.exit_code, record.signal, record.error_code) == (3, None, "ExitCodeNonzero")


@pytest.mark.parametrize(("number", "name"), [(9, "9 (SIGKILL)"), (40, "40")])
def test_a_signal(number: int, name: str) -> None:
    record = verdict(-number)
    assert (record.exit_code, record.signal, record.error_code) == (None, number, "ExitCodeNonzero")
    assert record.error_info.endswith(name)


def test_a_timeout_names_its_limit_and_its_survivors() -> None:
    assert "2.5 s" in verdict(-15, "timeout").error_info
    assert "survivors" not in verdict(-15, "timeout").error_info
    assert "2 processes could not be ended" in verdict(None, "timeout", survivors=2).error_info


def test_a_script_that_was_stopped_keeps_its_own_exit_code() -> None:
    record = verdict(0, "stopped")
    assert (record.reason, record.exit_code, record.error_code) == ("stopped", 0, "")


def test_leftovers_are_noted_when_the_script_ended_by_itself() -> None:
    assert verdict(0, left=2).notes == ["2 background processes of the script go on running"]
    assert verdict(-15, "stopped", survivors=1, left=1).notes == []
