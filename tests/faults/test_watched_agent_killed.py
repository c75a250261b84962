"""An agent without supervisors dies at a chosen moment: its script ends with it, and the result says so."""

from pathlib import Path

import pytest
from faults.agents import start_crashing_agent
from faults.scene import Scene
from faults.scripts import FAILING, SILENT

from harness.eventually import eventually
from harness.old_system import environment_of_old_system
from harness.system import System


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of programs for which this system is one without supervisors."""
    return environment_of_old_system(tmp_path / "old-system")


@pytest.mark.parametrize(
    ("point", "start_count"),
    [("before the first process", 0), ("before the first process is noted", 1), ("after a watched start", 1)],
)
def test_killed_about_the_start_it_is_interrupted_and_what_began_has_ended(
    quick_system: System, scene: Scene, environment: dict[str, str], point: str, start_count: int
) -> None:
    agent = start_crashing_agent(quick_system, point, environment=environment)
    name = scene.ask(SILENT)
    agent.wait()
    if start_count:
        eventually(lambda: scene.traces.of(name).start_count, 10, "it starts")
    scene.broken_on_purpose.add(name)
    quick_system.start_agent(environment=environment)
    row = scene.wait(name)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    scene.push_again(name, 5)
    scene.settle()
    found = scene.traces.of(name)
    assert (found.start_count, found.end_count) == (start_count, 0)


@pytest.mark.parametrize(
    ("point", "state"),
    [("before the record of a watched script", "Error"), ("after the record of a watched script", "Failed")],
)
def test_killed_as_the_script_has_ended_its_result_is_kept_once_it_is_on_disk(
    quick_system: System, scene: Scene, environment: dict[str, str], point: str, state: str
) -> None:
    agent = start_crashing_agent(quick_system, point, environment=environment)
    name = scene.ask(FAILING)
    agent.wait()
    if state == "Error":
        scene.broken_on_purpose.add(name)
    quick_system.start_agent(environment=environment)

    assert scene.wait(name).state == state
    scene.push_again(name, 5)
    scene.settle()
    assert scene.traces.of(name).start_count == 1
