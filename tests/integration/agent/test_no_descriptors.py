"""An agent that has no descriptor left loses nothing, says why, and works again when it has."""

from pathlib import Path

from integration.agent.gated_script import finish, started
from integration.agent.operator_side import Operator

from harness.descriptors import descriptor_limit
from harness.eventually import always, eventually
from harness.system import System

#: Those of every process: whatever the agent opens, there is no number for it.
NO_MORE = 3
OUT_OF_REACH = "a script is out of reach, and its result comes later"
NOT_LOOKED_AFTER = "the spool cannot be looked after"


def test_a_large_result_for_which_no_descriptor_is_left_comes_later(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    quick_system.environment["CLOUD_ASSISTANT_AGENT_OUTPUT_LIMIT_BYTES"] = "1000000"
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path, last="seq 100000", exit_code=7)
    with descriptor_limit(agent.pid, NO_MORE):
        finish(tmp_path)
        eventually(lambda: OUT_OF_REACH in agent.log(), 20, "the agent says so")
        eventually(lambda: "folder cannot be read" in agent.log(), 20, "it has looked for the script")
        eventually(lambda: NOT_LOOKED_AFTER in agent.log(), 20, "a heartbeat was made")
        assert operator.row(execution).state == "Running"

    row = operator.wait(execution)
    assert (row.state, row.outcome.exit_code) == ("Failed", 7)
    assert row.outcome.output.data.endswith(b"\n100000\n")
    assert len(row.outcome.output.data) > 500_000
    assert "Traceback" not in agent.log()
    assert agent.log().count(NOT_LOOKED_AFTER) == 1


def test_an_agent_that_can_connect_no_more_takes_work_again_when_it_can(
    quick_system: System, operator: Operator
) -> None:
    agent = quick_system.start_agent()
    with descriptor_limit(agent.pid, NO_MORE):
        operator.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        eventually(lambda: "queue cannot be reached" in agent.log(), 20, "the agent says so")
        execution = operator.invoke_one("echo done")
        always(lambda: operator.row(execution).state == "Pending", 0.5, "nobody takes it")
    assert operator.wait(execution).outcome.output.data == b"done\n"
    assert operator.run("echo").state == "Success"
