"""What an operator is told who stops a timed invocation that is just between two executions."""

import pytest
from e2e.timed.conftest import Operator

DAILY = "0 0 3 * * *"


@pytest.fixture
def invoke_id(operator: Operator) -> str:
    """A timed invocation on two instances that are away."""
    operator.system.register("i-one", "i-two")
    return operator.invoke("true", frequency=DAILY)


def test_a_stop_between_two_executions_says_that_it_stopped(operator: Operator, invoke_id: str) -> None:
    on_one = operator.run("invocation", "stop", invoke_id, "--instance", "i-one").must_succeed()
    assert on_one.stderr == f"{invoke_id} runs no more on i-one\n"
    whole = operator.run("invocation", "stop", invoke_id).must_succeed()
    assert whole.stderr == f"{invoke_id} runs no more\n"
    again = operator.run("invocation", "stop", invoke_id).must_succeed()
    assert again.stderr == f"nothing left to stop; {invoke_id} is Stopped\n"


def test_a_stop_of_what_is_over_says_so(operator: Operator, invoke_id: str) -> None:
    first = operator.run("timed", "stop", invoke_id).must_succeed()
    assert first.stderr == f"{invoke_id} stopped\n"
    again = operator.run("timed", "stop", invoke_id).must_succeed()
    assert again.stderr == f"{invoke_id} was over before: stopped\n"


def test_what_was_stopped_on_an_instance_is_not_said_to_be_added_there(operator: Operator, invoke_id: str) -> None:
    operator.run("timed", "stop", invoke_id, "--instance", "i-one").must_succeed()
    refused = operator.run("timed", "modify", invoke_id, "--instance", "i-two", "--instance", "i-one")
    assert refused.exit_code == 4
    assert "was stopped on i-one, for good" in refused.stderr
    # One that is a target already, and goes on, is no trouble.
    operator.run("timed", "modify", invoke_id, "--instance", "i-two").must_succeed()
