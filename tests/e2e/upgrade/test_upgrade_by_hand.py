"""A new version has to show that it works; else the old one runs again, unattended, and scripts go on all the while."""

import os
import signal
from pathlib import Path

import pytest
from e2e.upgrade.conftest import Machine

from harness.eventually import eventually

#: Each waits for several starts of agents, one after the other, and a busy machine takes seconds for one.
pytestmark = pytest.mark.timeout(180)


def start_long_script(machine: Machine, gate: Path) -> str:
    """A script that waits for the gate; answers its invocation."""
    script = f"echo begun > {gate}.begun; until test -e {gate}; do sleep 0.1; done; echo $$ went on"
    started = machine.system.assist("run", script, "--instance", machine.instance_id, "--no-wait", "--timeout", "300")
    eventually(lambda: Path(f"{gate}.begun").exists(), within_seconds=30)
    return started.must_succeed().stdout.strip()


def test_a_good_version_takes_over_while_a_script_goes_on(machine: Machine) -> None:
    gate = machine.folder / "gate"
    invoke_id = start_long_script(machine, gate)
    process_id = machine.agent.pid
    machine.upgrade("--file", machine.archive("2.0.0")).must_succeed()
    machine.wait_until_settled("2.0.0", "Succeeded", "2.0.0")
    machine.agent.wait_for_line(r"agent ready.*version=2\.0\.0(.|\n)*agent ready.*version=2\.0\.0", 60)
    assert machine.runs("2.0.0")
    gate.touch()
    results = machine.system.assist("invocation", "results", invoke_id, "--wait", "--output", "json")
    (row,) = results.must_succeed().json["InvocationResults"]
    assert row["ExitCode"] == 0
    assert "went on" in row["Output"]
    # The service manager still watches the same process.
    assert machine.agent.is_running
    assert machine.agent.pid == process_id


def test_a_machine_that_fails_during_a_trial_comes_back_with_the_old_version(machine: Machine) -> None:
    machine.upgrade("--file", machine.archive("2.0.0", "takes nothing"), "--probation", "600").must_succeed()
    eventually(lambda: machine.reported() == ("2.0.0", "Probation"), within_seconds=30)
    os.kill(machine.agent.pid, signal.SIGKILL)
    eventually(lambda: not machine.agent.is_running, within_seconds=10)
    # What the service manager does next.
    machine.agent.start(ready=r"agent ready.*version=1\.0\.0", within_seconds=60)
    assert (machine.state.stage, machine.current) == ("Undecided", "1.0.0")
    assert machine.runs("1.0.0")


#: What is wrong with a version, how it is told, and how many seconds it gets.
BAD = [
    ("2.0.1", "crashes", "exit code 3", 60),
    ("2.0.2", "hangs", "no heartbeat", 2),
    ("2.0.3", "cannot connect", "no heartbeat", 2),
    ("2.0.4", "cannot execute", "cannot start anything", 60),
]


def test_a_version_that_does_not_work_gives_way_to_the_old_one(machine: Machine) -> None:
    gate = machine.folder / "gate"
    invoke_id = start_long_script(machine, gate)
    for version, behaviour, reason, probation in BAD:
        machine.upgrade("--file", machine.archive(version, behaviour), "--probation", str(probation)).must_succeed()
        machine.wait_until_settled(version, "Failed", "1.0.0")
        assert reason in machine.state.reason
        assert machine.state.bad[version] == machine.state.reason
        assert machine.runs("1.0.0")
        assert not (machine.install_folder / "versions" / version).exists()
    gate.touch()
    results = machine.system.assist("invocation", "results", invoke_id, "--wait", "--output", "json").must_succeed()
    assert "went on" in results.json["InvocationResults"][0]["Output"]
