"""A machine whose disk is full is the one that needs its agent most: whoever is to make room has to get in."""

from pathlib import Path

from integration.agent.operator_side import Operator

from harness.disk import fill, small_disk
from harness.system import System


def test_an_agent_that_worked_here_before_starts_on_a_full_disk_and_runs_what_makes_room(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        home = {"CLOUD_ASSISTANT_HOME": str(disk / "home")}
        agent = quick_system.start_agent(environment=home)
        [before] = operator.invoke("echo before")
        assert operator.wait(before).state == "Success"
        agent.stop()
        ballast = fill(disk)

        quick_system.start_agent(environment=home)
        [cleaning] = operator.invoke(f"echo making room; rm {ballast}")
        row = operator.wait(cleaning)
        assert (row.state, row.outcome.output.data) == ("Success", b"making room\n")
        assert not ballast.exists()
        [after] = operator.invoke("echo after")
        assert operator.wait(after).state == "Success"
