"""Promises 2 and 3: Redis may be slow, away, restarted or empty; results wait and arrive, and the agent goes on."""

from pathlib import Path

import pytest
from integration.agent.gated_script import finish, started
from integration.agent.operator_side import Operator, agent_program, side_effects

from cloud_assistant.broker_config import keys
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System
from harness.tcp_proxy import TcpProxy


def test_a_result_waits_on_disk_until_redis_is_back(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    redis_server.kill()
    finish(tmp_path)
    saved = agent.home / "spool" / execution.id / "outcome.json"
    eventually(saved.exists, 10, "the result is on disk")
    redis_server.start()

    row = operator.wait(execution)

    assert (row.state, row.outcome.output.data) == ("Success", b"done\n")
    eventually(lambda: not saved.exists(), 5, "the spool is empty")
    assert operator.run("true").state == "Success"


def test_a_result_outlives_agent_and_redis_both(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    redis_server.kill()
    finish(tmp_path)
    eventually((agent.home / "spool" / execution.id / "outcome.json").exists, 10, "the result is on disk")
    agent.sigkill()
    redis_server.start()
    quick_system.start_agent()

    assert operator.wait(execution).outcome.output.data == b"done\n"
    assert side_effects(tmp_path / "effects") == ["start", "end"]


def test_a_result_finds_its_place_although_redis_lost_everything_meanwhile(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    agent.sigkill()
    finish(tmp_path)
    redis_server.restart_empty()
    quick_system.start_agent()

    assert eventually(lambda: operator.ask("HGET", operator.row_key(execution), "output"), 10) == b"done\n"


def test_the_agent_works_on_when_redis_comes_back_empty(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    quick_system.start_agent()
    execution = started(operator, tmp_path)
    redis_server.restart_empty()
    finish(tmp_path)

    # The true result is written anew, and the instance registers itself again.
    row = eventually(lambda: operator.ask("HGET", operator.row_key(execution), "recovered"), 10, "the result")
    assert row == b"1"
    eventually(lambda: operator.ask("ZSCORE", keys.INSTANCES, "i-one"), 10, "the instance is registered")
    assert operator.run("echo again").outcome.output.data == b"again\n"


def test_an_agent_that_starts_before_redis_waits_for_it(
    quick_system: System, operator: Operator, redis_server: RedisServer
) -> None:
    redis_server.kill()
    agent = agent_program(quick_system)
    agent.start(ready="Redis does not serve this agent")
    redis_server.start()
    agent.wait_for_line("agent ready", 15)

    assert operator.run("true").state == "Success"
    assert agent.log().count("Redis does not serve") == 1


def test_a_hung_redis_does_not_disturb_a_script(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    quick_system.start_agent()
    execution = started(operator, tmp_path)
    redis_server.hang()
    finish(tmp_path)
    redis_server.resume()

    assert operator.wait(execution).state == "Success"
    assert operator.run("true").state == "Success"


def test_an_agent_ends_at_once_while_redis_hangs(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    redis_server.hang()
    agent.sigterm()

    assert agent.wait(within_seconds=4) == 0
    redis_server.resume()
    finish(tmp_path)
    quick_system.start_agent()
    assert operator.wait(execution).state == "Success"


def test_a_result_is_delivered_again_when_redis_lost_it_in_a_crash(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    operator.redis.call("BGREWRITEAOF")
    before = operator.redis.call("DUMP", operator.row_key(execution))
    finish(tmp_path)
    row = operator.wait(execution)

    # What a crash of Redis does with its last second: the row is as it was before the result came.
    operator.redis.pipeline_or_raise(
        [
            ("RESTORE", operator.row_key(execution), 0, before, "REPLACE"),
            ("ZADD", keys.open_executions("i-one"), row.deadline_ms, execution.id),
        ]
    )
    redis_server.restart()

    assert operator.wait(execution).outcome == row.outcome
    assert "put back messages" not in agent.log()


def test_results_that_redis_has_no_memory_for_wait(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    redis_server.cli("CONFIG", "SET", "maxmemory", "1")
    finish(tmp_path)
    agent.wait_for_line("OOM", 10)
    assert agent.is_running
    redis_server.cli("CONFIG", "SET", "maxmemory", "0")

    assert operator.wait(execution).state == "Success"


def test_a_claim_whose_answer_was_lost_is_taken_up_again(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    with TcpProxy(redis_server.port) as proxy:
        quick_system.start_agent(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
        proxy.set_delay_ms(300)
        execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
        operator.wait_for_state(execution, "Running")
        proxy.drop_connections()
        proxy.set_delay_ms(0)

        assert operator.wait(execution).state == "Success"
    assert side_effects(tmp_path / "ran") == ["ran"]


# Connections that the proxy resets while they are being made are left to the collector of its event loop.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_line_that_breaks_again_and_again_loses_nothing(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path, fault: str
) -> None:
    with TcpProxy(redis_server.port) as proxy:
        quick_system.start_agent(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
        executions = []
        for number in range(8):
            executions.append(operator.invoke_one(f"echo {number} >> {tmp_path}/ran; echo {number}"))
            if fault == "cut":
                proxy.cut()
                proxy.heal()
            else:
                proxy.drop_connections()
        rows = [operator.wait(one, 40) for one in executions]

    assert [row.outcome.output.data for row in rows] == [b"%d\n" % number for number in range(8)]
    assert sorted(side_effects(tmp_path / "ran")) == [str(number) for number in range(8)]


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_half_open_line_is_noticed_and_left(
    quick_system: System, operator: Operator, redis_server: RedisServer
) -> None:
    with TcpProxy(redis_server.port) as proxy:
        quick_system.start_agent(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
        assert operator.run("true").state == "Success"
        proxy.half_open(serve_new_connections=True)
        execution = operator.invoke_one("echo through", deliver_within_seconds=120)

        assert operator.wait(execution, 90).outcome.output.data == b"through\n"


def test_a_target_that_is_offline_runs_its_script_when_it_comes_back(quick_system: System, operator: Operator) -> None:
    agent = quick_system.start_agent()
    agent.sigterm()
    agent.wait()
    execution = operator.invoke_one("echo late but there")
    assert operator.row(execution).state == "Pending"

    quick_system.start_agent()

    assert operator.wait(execution).outcome.output.data == b"late but there\n"


def test_a_script_whose_delivery_deadline_has_passed_is_not_run(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    operator.register("i-one")
    execution = operator.invoke_one(f"echo ran > {tmp_path}/ran", deliver_within_seconds=0)
    quick_system.start_agent()

    assert operator.run("true").state == "Success"
    assert operator.row(execution).state == "Pending"
    assert side_effects(tmp_path / "ran") == []
