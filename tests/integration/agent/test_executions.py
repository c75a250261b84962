"""What an agent makes of one execution, from its message to its row."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from integration.agent.operator_side import Operator, side_effects

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.records import ScriptType
from cloud_assistant.broker_config.results import STDERR, STDOUT
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System


def test_a_script_runs_and_its_output_arrives_byte_by_byte(quick_system: System, operator: Operator) -> None:
    quick_system.start_agent()

    row = operator.run(rb"printf 'out\000\377\n'; echo err >&2; exit 0")

    assert (row.state, row.outcome.exit_code, row.outcome.error_code) == ("Success", 0, "")
    assert row.outcome.output.stream(STDOUT) == b"out\0\xff\n"
    assert row.outcome.output.stream(STDERR) == b"err\n"
    assert row.claimed_ms <= row.outcome.started_ms <= row.outcome.finished_ms


def test_an_exit_code_other_than_zero_is_a_failure_with_the_code(quick_system: System, operator: Operator) -> None:
    quick_system.start_agent()

    row = operator.run("exit 3")

    assert (row.state, row.outcome.exit_code, row.outcome.error_code) == ("Failed", 3, "ExitCodeNonzero")
    assert row.outcome.error_info == "exit code 3"


def test_a_script_killed_by_a_signal_says_which(quick_system: System, operator: Operator) -> None:
    quick_system.start_agent()

    row = operator.run("kill -9 $$")

    assert (row.state, row.outcome.exit_code, row.outcome.signal) == ("Failed", None, signal.SIGKILL)
    assert row.outcome.error_info == "killed by signal 9 (SIGKILL)"


def test_a_timeout_ends_the_whole_tree(quick_system: System, operator: Operator) -> None:
    agent = quick_system.start_agent()
    before = {info.pid for info in agent.tree()}

    row = operator.run("setsid sleep 61 & sleep 62", timeout_seconds=1)

    assert (row.state, row.outcome.error_code) == ("Timeout", "ExecutionTimeout")
    assert row.outcome.survivors == 0
    assert not [info for info in agent.tree() if info.pid not in before and "sleep" in info.command]


def test_a_stop_ends_a_running_script(quick_system: System, operator: Operator, tmp_path: Path) -> None:
    quick_system.start_agent()
    execution = operator.invoke_one(f"echo begun; echo begun > {tmp_path}/begun; sleep 63")
    eventually(lambda: side_effects(tmp_path / "begun"), 10, "the script runs")

    operator.stop(execution)
    row = operator.wait(execution)

    assert (row.state, row.outcome.survivors) == ("Terminated", 0)
    assert row.outcome.output.data.startswith(b"begun\n")


def test_a_stop_does_not_wait_for_the_next_heartbeat(system: System, operator: Operator, tmp_path: Path) -> None:
    system.start_agent()
    first = operator.redis.call("HGET", keys.info("i-one"), "heartbeat_ms")
    # The second beat comes soon after the start, the third a long while later.
    eventually(lambda: operator.redis.call("HGET", keys.info("i-one"), "heartbeat_ms") != first, 10, "the second beat")
    execution = operator.invoke_one(f"echo begun > {tmp_path}/begun; exec sleep 65")
    eventually(lambda: side_effects(tmp_path / "begun"), 10, "the script runs")

    operator.stop(execution)

    assert operator.wait(execution, within_seconds=6).state == "Terminated"


def test_a_stop_whose_control_message_was_lost_is_found_in_the_ledger(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = operator.invoke_one(f"echo begun > {tmp_path}/begun; sleep 64")
    eventually(lambda: side_effects(tmp_path / "begun"), 10, "the script runs")

    # Not through the function that also sends the control message.
    operator.redis.call("HSET", operator.row_key(execution), "state", "Stopping")

    assert operator.wait(execution).state == "Terminated"
    assert agent.is_running


def test_what_waits_for_a_slot_can_be_cancelled(quick_system: System, operator: Operator, tmp_path: Path) -> None:
    quick_system.start_agent(environment={"CLOUD_ASSISTANT_AGENT_SLOTS": "1"})
    first = operator.invoke_one(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    operator.wait_for_state(first, "Running")
    second = operator.invoke_one(f"echo ran >> {tmp_path}/ran")

    operator.stop(second)
    (tmp_path / "go").touch()

    assert operator.wait(first).state == "Success"
    assert operator.wait(second).state == "Cancelled"
    assert operator.run("true").state == "Success"
    assert side_effects(tmp_path / "ran") == []


@pytest.mark.parametrize(
    ("options", "state", "code"),
    [
        ({"working_directory": "/no/such/folder"}, "Invalid", "DirectoryNotExists"),
        ({"username": "no-such-user"}, "Invalid", "AccountNotExists"),
        ({"script_type": ScriptType.BAT}, "Invalid", "CommandNotApplicable"),
        ({"launcher": "/no/such/interpreter"}, "Error", "ExecutionException"),
        ({"built_ins": True}, "Invalid", "InvalidSystemBuiltInParameter"),
        ({"v": 99}, "Aborted", "ClientNeedUpgrade"),
    ],
)
def test_what_cannot_run_here_is_refused_with_its_code(
    quick_system: System, operator: Operator, options: dict[str, Any], state: str, code: str, tmp_path: Path
) -> None:
    quick_system.start_agent()

    row = operator.run(f"echo ran > {tmp_path}/ran; : {{{{ACS::Nonsense}}}}", **options)

    assert (row.state, row.outcome.error_code) == (state, code)
    assert row.outcome.error_info
    assert side_effects(tmp_path / "ran") == []


def test_built_in_parameters_are_this_instances_own(quick_system: System, operator: Operator) -> None:
    operator.register("i-one")
    quick_system.start_agent()

    script = "echo {{ACS::InstanceId}} {{ ACS :: InstanceName }} {{ACS::RegionId}}"
    row = operator.run(script, built_ins=True, region_id="r-1")

    assert row.outcome.output.data == b"i-one name of i-one r-1\n"


def test_parameters_are_variables_of_the_script(quick_system: System, operator: Operator) -> None:
    quick_system.start_agent()

    row = operator.run('echo "$CA_PARAM_LOG_DIR $CA_INSTANCE_ID"', parameters={"log-dir": "a; b"})

    assert row.outcome.output.data == b"a; b i-one\n"


def test_a_dry_run_checks_everything_and_runs_nothing(quick_system: System, operator: Operator, tmp_path: Path) -> None:
    agent = quick_system.start_agent()

    good = operator.run(f"echo ran > {tmp_path}/ran", dry_run=True)
    bad = operator.run("true", dry_run=True, username="no-such-user")

    assert (good.state, good.outcome.output.data) == ("Success", b"")
    assert (bad.state, bad.outcome.error_code) == ("Invalid", "AccountNotExists")
    assert side_effects(tmp_path / "ran") == []
    assert eventually(lambda: not list((agent.home / "spool").iterdir()), 5, "the spool is empty")


def test_output_is_streamed_while_the_script_runs(quick_system: System, operator: Operator, tmp_path: Path) -> None:
    quick_system.start_agent()
    execution = operator.invoke_one(f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo late")

    stream = keys.live_output("i-one", execution.id)
    entries = eventually(lambda: operator.redis.call("XRANGE", stream, "-", "+"), 10, "a piece of live output")
    (tmp_path / "go").touch()

    assert dict(zip(entries[0][1][::2], entries[0][1][1::2], strict=True))[b"data"] == b"early\n"
    assert operator.wait(execution).outcome.output.data == b"early\nlate\n"
    assert operator.redis.call("PTTL", stream) > 0


def test_two_hundred_invocations_at_once_on_one_agent_all_succeed(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()

    executions = [operator.invoke_one(f"echo {n} >> {tmp_path}/ran; echo {n}") for n in range(200)]
    rows = [operator.wait(execution, 60) for execution in executions]

    assert [row.outcome.output.data for row in rows] == [b"%d\n" % n for n in range(200)]
    assert sorted(map(int, side_effects(tmp_path / "ran"))) == list(range(200))
    assert eventually(lambda: not list((agent.home / "spool").iterdir()), 5, "the spool is empty")


def test_three_agents_on_one_machine_run_their_own_only(
    quick_system: System, operator: Operator, redis_server: RedisServer
) -> None:
    names = ["i-a", "i-b", "i-c"]
    for name in names:
        quick_system.start_agent(name)

    executions = operator.invoke('echo "$CA_INSTANCE_ID"', names)

    for execution, name in zip(executions, names, strict=True):
        assert operator.wait(execution).outcome.output.data == f"{name}\n".encode()
    assert redis_server.cli("ZCARD", keys.open_executions("i-a")) == 0


def test_a_spool_that_somebody_has_removed_is_made_again(quick_system: System, operator: Operator) -> None:
    agent = quick_system.start_agent()
    spool = agent.home / "spool"
    shutil.rmtree(spool)

    eventually(spool.exists, what="the next beat makes it")
    assert operator.run("true").state == "Success"
    assert spool.stat().st_mode & 0o777 == 0o711
    assert "lane failed" not in agent.log()


def test_an_agent_whose_home_has_vanished_is_still_seen_and_says_why(quick_system: System, operator: Operator) -> None:
    """A disk was unmounted under it."""
    home = quick_system.folder / "home"
    agent = quick_system.start_agent(environment={"CLOUD_ASSISTANT_HOME": str(home)})
    assert operator.run("true").state == "Success"
    aside = home.rename(home.with_name("aside"))
    home.touch()
    operator.redis.call("DEL", keys.info("i-one"))

    eventually(lambda: operator.redis.call("EXISTS", keys.info("i-one")), 10, "a heartbeat")
    row = operator.run("true")
    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionException")
    eventually(lambda: "the spool cannot be looked after" in agent.log(), 10, "the agent says so")
    assert "lane failed" not in agent.log()
    home.unlink()
    aside.rename(home)
    assert operator.run("true").state == "Success"


def test_a_kept_script_stays_until_there_is_no_room(quick_system: System, operator: Operator) -> None:
    agent = quick_system.start_agent(
        environment={"CLOUD_ASSISTANT_AGENT_KEEP_SCRIPTS": "true", "CLOUD_ASSISTANT_AGENT_SPOOL_LIMIT_BYTES": "3000"}
    )
    first = operator.invoke_one("echo first")
    operator.wait(first)
    script = agent.home / "spool" / first.id / "script.sh"
    assert script.read_bytes() == b"echo first"

    for _ in range(5):
        operator.run("echo " + "x" * 900)

    eventually(lambda: not script.exists(), 10, "the oldest kept script goes first")
