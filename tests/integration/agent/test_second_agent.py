"""An instance is one agent: a second one is refused, wherever it is started."""

import os
import socket
from pathlib import Path

from integration.agent.operator_side import Operator, agent_program

from cloud_assistant.broker_config import keys
from harness.eventually import eventually
from harness.processes import installed_program
from harness.system import System


def test_a_second_agent_with_the_same_home_is_refused(quick_system: System, operator: Operator) -> None:
    quick_system.start_agent()

    second = agent_program(quick_system)
    second.start()

    assert second.wait() == 4
    assert "runs with home" in second.log()
    assert operator.run("true").state == "Success"


def test_a_second_agent_with_the_same_instance_id_elsewhere_is_refused(
    quick_system: System, operator: Operator
) -> None:
    first = quick_system.start_agent()

    second = agent_program(quick_system, home="elsewhere")
    second.start()

    assert second.wait() == 4
    assert f"another agent runs as i-one ({socket.gethostname()}, pid {first.pid})" in second.log()
    assert operator.run("true").state == "Success"


def test_the_next_agent_of_a_home_takes_over_from_a_killed_one_at_once(
    quick_system: System, operator: Operator
) -> None:
    quick_system.start_agent().sigkill()
    assert operator.redis.call("EXISTS", keys.info("i-one")) == 1

    quick_system.start_agent()

    assert operator.run("true").state == "Success"


def test_an_agent_whose_user_has_a_name_in_another_encoding_says_what_can_be_said_of_it(
    quick_system: System, operator: Operator
) -> None:
    quick_system.start_agent(environment={"LOGNAME": os.fsdecode(b"m\xfcller")})

    assert operator.redis.call("HGET", keys.info("i-one"), "user") == b"m?ller"
    assert operator.run("true").state == "Success"


def test_the_heartbeat_says_what_the_agent_is(quick_system: System, operator: Operator) -> None:
    agent = quick_system.start_agent()

    found = operator.redis.call("HGETALL", keys.info("i-one"))
    info = {name.decode(): value.decode() for name, value in zip(found[::2], found[1::2], strict=True)}

    assert info["pid"] == str(agent.pid)
    assert info["os_type"] == "Linux"
    assert abs(int(info["clock_offset_ms"])) < 1000
    assert {"agent_version", "kernel", "arch", "boot_id", "machine_id", "epoch", "disk_free_bytes"} <= info.keys()
    assert operator.redis.call("PTTL", keys.info("i-one")) > 0


def test_the_heartbeat_is_whole_again_after_its_key_vanished(quick_system: System, operator: Operator) -> None:
    quick_system.start_agent()
    operator.redis.call("DEL", keys.info("i-one"))

    assert eventually(lambda: operator.redis.call("HGET", keys.info("i-one"), "kernel"), 10, "all facts are back")


def test_status_tells_whether_the_agent_runs(quick_system: System, tmp_path: Path) -> None:
    agent = quick_system.start_agent()
    status = agent_program(quick_system)
    status.argv = [str(installed_program("assist-agent")), "status"]
    status.log_path = tmp_path / "status.log"

    assert status.start().wait() == 0
    assert f"agent runs: instance i-one, pid {agent.pid}" in status.log()
    agent.sigterm()
    agent.wait()
    assert status.start().wait() == 5
    assert "no agent runs" in status.log()
