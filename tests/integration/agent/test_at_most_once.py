"""Promise 1: the script of an execution starts at most one time."""

from pathlib import Path

from integration.agent.operator_side import Operator, side_effects

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import claim_command, claim_reply
from cloud_assistant.broker_config.functions.function_library import run
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System


def test_fifty_copies_of_a_message_start_one_script(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    quick_system.start_agent()
    execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran; sleep 0.3")
    operator.push_again(execution, 50)

    operator.wait(execution)
    operator.push_again(execution, 50)
    eventually(lambda: redis_server.cli("LLEN", keys.queue("i-one")) == 0, 10, "all copies are taken")

    assert operator.run("true").state == "Success"
    assert side_effects(tmp_path / "ran") == ["ran"]
    assert operator.row(execution).state == "Success"


def test_copies_that_wait_before_the_agent_starts_start_one_script(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    operator.register("i-one")
    execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
    operator.push_again(execution, 50)

    quick_system.start_agent()

    assert operator.wait(execution).state == "Success"
    assert operator.run("true").state == "Success"
    assert side_effects(tmp_path / "ran") == ["ran"]


def test_an_execution_that_somebody_else_claimed_is_not_started(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    operator.register("i-one")
    execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
    claim = claim_command("i-one", execution.id, epoch="other", boot_id="other", report_margin_ms=60_000)
    claim_reply(run(operator.redis, claim))

    quick_system.start_agent()
    row = operator.wait(execution)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    assert "nobody can say whether it ran" in row.outcome.error_info
    assert side_effects(tmp_path / "ran") == []


def test_a_row_that_redis_brings_back_from_the_past_is_not_run_again(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
    past = operator.redis.call("DUMP", operator.row_key(execution))
    operator.wait(execution)
    # Longer ago than what the agent remembers of its last deliveries: a new process remembers none.
    agent.sigkill()
    quick_system.start_agent()

    operator.redis.pipeline_or_raise(
        [
            ("RESTORE", operator.row_key(execution), 0, past, "REPLACE"),
            ("ZADD", keys.open_executions("i-one"), operator.row(execution).deadline_ms, execution.id),
        ]
    )
    operator.push_again(execution)
    row = operator.wait(execution)

    assert side_effects(tmp_path / "ran") == ["ran"]
    assert row.state in ("Error", "Success")


def test_a_lost_message_is_put_back_once(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    operator.register("i-one")
    execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
    redis_server.cli("DEL", keys.queue("i-one"))

    quick_system.start_agent()
    assert operator.wait(execution).state == "Success"

    later = operator.redis
    second = operator.invoke_one(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    operator.wait_for_state(second, "Running")
    third = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
    later.call("DEL", keys.queue("i-one"))
    (tmp_path / "go").touch()

    assert operator.wait(third).state == "Success"
    assert side_effects(tmp_path / "ran") == ["ran", "ran"]
