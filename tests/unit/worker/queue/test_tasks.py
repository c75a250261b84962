import pytest
from celery import Celery
from celery.exceptions import Ignore

from cloud_assistant.broker_config.functions.executions import NotClaimed
from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.queue.tasks import ExecutionNotSuccessful, register


class Runner:
    def __init__(self, end: Outcome | NotClaimed | None) -> None:
        self.end = end

    def run(self, execution_id: str, payload_token: str) -> Outcome | NotClaimed | None:
        return self.end


def call(end: Outcome | NotClaimed | None) -> None:
    app = Celery(set_as_current=False)
    register(app, Runner(end))
    app.tasks[RUN_COMMAND_TASK].run("t-1", "")


def test_a_good_script_is_a_successful_task() -> None:
    call(Outcome(state=ExecutionState.SUCCESS))


def test_a_failed_script_is_a_failed_task_with_the_reason_and_no_output() -> None:
    end = Outcome(
        state=ExecutionState.FAILED,
        exit_code=3,
        error_code="ExitCodeNonzero",
        error_info="exit code 3",
        output=KeptStreams(data=b"secret"),
    )
    with pytest.raises(ExecutionNotSuccessful) as caught:
        call(end)
    assert repr(caught.value) == "ExitCodeNonzero: exit code 3"


def test_a_message_for_something_that_was_cancelled_says_so() -> None:
    with pytest.raises(ExecutionNotSuccessful, match="not run: taken, the row is Cancelled"):
        call(NotClaimed("Cancelled", "taken"))


def test_a_copy_of_a_message_is_ignored() -> None:
    with pytest.raises(Ignore):
        call(None)


def test_there_is_no_other_task_that_a_message_could_start() -> None:
    app = Celery(set_as_current=False)
    register(app, Runner(None))

    assert list(app.tasks) == [RUN_COMMAND_TASK]
