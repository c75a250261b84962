"""An agent on a system that cannot run supervisors: the same ledger and promises, but scripts end with it."""

from pathlib import Path

import pytest
from integration.agent.gated_script import started
from integration.agent.operator_side import Operator, side_effects

from harness.eventually import eventually
from harness.old_system import environment_of_old_system
from harness.proc import process
from harness.system import System


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of programs for which this system is such a one."""
    return environment_of_old_system(tmp_path / "old-system")


def test_scripts_run_and_are_stopped_with_all_they_started(
    quick_system: System, operator: Operator, tmp_path: Path, environment: dict[str, str]
) -> None:
    quick_system.start_agent(environment=environment)
    row = operator.wait(operator.invoke_one("echo out; echo err >&2; exit 3"))
    # Two threads read the two streams, so nobody knows which line is the first.
    assert (row.state, row.outcome.exit_code) == ("Failed", 3)
    assert sorted(row.outcome.output.data.splitlines()) == [b"err", b"out"]

    execution = started(operator, tmp_path, first="sleep 100 &")
    operator.stop(execution)
    row = operator.wait(execution)
    assert (row.state, row.outcome.survivors) == ("Terminated", 0)


@pytest.mark.parametrize("ends_by", ["kill", "request"])
def test_a_script_ends_with_its_agent_and_the_next_one_tells_so(
    quick_system: System, operator: Operator, tmp_path: Path, environment: dict[str, str], ends_by: str
) -> None:
    agent = quick_system.start_agent(environment=environment)
    execution = started(operator, tmp_path, first=f"echo before; echo $$ > {tmp_path}/pid")
    eventually(lambda: list((agent.home / "spool").glob("*/output.bin")), 5, "its output is saved")

    if ends_by == "kill":
        agent.sigkill()
    else:
        agent.sigterm()
        assert agent.wait(within_seconds=5) == 0
        pid = int((tmp_path / "pid").read_text(encoding="ascii"))
        eventually(lambda: process(pid) is None, 2, "the script has ended, though no agent may come after this one")
    quick_system.start_agent(environment=environment)
    row = operator.wait(execution)
    (tmp_path / "go").touch()

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    assert row.outcome.output.data == b"before\n"
    assert side_effects(tmp_path / "effects") == ["start"]
    assert eventually(lambda: not list((agent.home / "spool").iterdir()), 5, "the spool is empty")


def test_an_agent_over_its_memory_ends_its_scripts_and_says_so(
    quick_system: System, operator: Operator, tmp_path: Path, environment: dict[str, str]
) -> None:
    agent = quick_system.start_agent(environment={**environment, "CLOUD_ASSISTANT_AGENT_MEMORY_LIMIT_BYTES": "1000000"})
    operator.invoke_one(f"echo $$ > {tmp_path}/pid; sleep 100")
    assert agent.wait(within_seconds=20) == 75
    assert "scripts end with it" in agent.log()
    assert eventually(lambda: process(int((tmp_path / "pid").read_text(encoding="ascii"))) is None, 2)
