"""An agent, a supervisor or the whole machine dies at a chosen moment of an execution."""

import sys
from pathlib import Path

import pytest
from faults.agents import kill_machine, kill_supervisor, start, start_agent_after_reboot, start_crashing_agent
from faults.scene import Scene
from faults.scripts import GATED, LONG, QUICK

from harness.eventually import eventually
from harness.system import System

_WAITING_AGENT = Path(__file__).with_name("waiting_agent.py")


def test_killed_before_the_claim_the_next_agent_runs_it(quick_system: System, scene: Scene) -> None:
    agent = start_crashing_agent(quick_system, "before the claim")
    name = scene.ask(QUICK)
    agent.wait()
    quick_system.start_agent()

    assert scene.wait(name).state == "Success"
    scene.settle()


@pytest.mark.parametrize("point", ["after the claim", "before the journal is on disk", "before the plan is sent"])
def test_killed_between_claim_and_start_it_is_interrupted_and_never_runs(
    quick_system: System, scene: Scene, point: str
) -> None:
    agent = start_crashing_agent(quick_system, point)
    name = scene.ask(QUICK)
    agent.wait()
    quick_system.start_agent()
    row = scene.wait(name)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    scene.push_again(name, 5)
    scene.settle()
    assert scene.traces.of(name).start_count == 0


def test_killed_while_its_supervisor_has_the_plan_it_runs_to_its_end_or_never(
    quick_system: System, scene: Scene
) -> None:
    agent = start_crashing_agent(quick_system, "after the plan was sent")
    name = scene.ask(QUICK)
    agent.wait()
    quick_system.start_agent()
    row = scene.wait(name)

    scene.push_again(name, 5)
    scene.settle()
    started = scene.traces.of(name).start_count
    assert (row.state, row.outcome.error_code, started) in [
        ("Success", "", 1),
        ("Error", "ExecutionInterrupted", 0),
    ]


def test_a_stop_between_claim_and_start_starts_nothing(quick_system: System, scene: Scene) -> None:
    start(quick_system, [sys.executable, _WAITING_AGENT, "stop", "run"], "i-one")
    name = scene.ask(QUICK)
    eventually(lambda: (row := scene.row(name)) and row.state == "Running", 10, "it is claimed")
    scene.stop(name)

    assert scene.wait(name).state == "Terminated"
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()
    assert scene.traces.of(name).start_count == 0


def test_an_agent_that_is_asked_to_end_between_claim_and_start_starts_it_first(
    quick_system: System, scene: Scene
) -> None:
    agent = start(quick_system, [sys.executable, _WAITING_AGENT, "end", "run"], "i-one")
    name = scene.ask(QUICK)
    eventually(lambda: (row := scene.row(name)) and row.state == "Running", 10, "it is claimed")
    agent.sigterm()
    agent.wait_for_line("agent ends", 5)
    late_name = scene.ask(QUICK)
    assert agent.wait(within_seconds=5) == 0
    quick_system.start_agent()

    assert scene.wait(name).state == "Success"
    assert scene.wait(late_name).state == "Success", "it was left to the next agent"
    scene.settle()
    assert scene.traces.of(name).start_count == 1


@pytest.mark.parametrize("point", ["after the start", "before the report", "after the report"])
def test_killed_after_the_start_its_true_end_is_reported_once(quick_system: System, scene: Scene, point: str) -> None:
    agent = start_crashing_agent(quick_system, point)
    name = scene.ask(LONG)
    agent.wait()
    quick_system.start_agent()
    row = scene.wait(name)

    assert (row.state, row.outcome.exit_code) == ("Failed", LONG.exit_code)
    scene.settle()


def test_frozen_while_a_script_ends_it_reports_when_it_goes_on(quick_system: System, scene: Scene) -> None:
    agent = quick_system.start_agent()
    name = scene.ask(GATED)
    scene.wait_for_start(name)
    agent.sigstop()
    scene.traces.go.touch()
    eventually(lambda: scene.traces.of(name).end_count == 1, 10, "the script ends")
    row = scene.row(name)
    assert row is not None
    assert row.state == "Running"
    agent.sigcont()

    assert scene.wait(name).outcome.exit_code == GATED.exit_code
    scene.settle()


def test_a_killed_supervisor_ends_its_script_and_says_so(quick_system: System, scene: Scene) -> None:
    quick_system.start_agent()
    name = scene.ask(GATED)
    scene.wait_for_start(name)
    scene.broken_on_purpose.add(name)
    kill_supervisor(quick_system, name)
    row = scene.wait(name)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    scene.settle()
    assert scene.traces.of(name).end_count == 0


def test_after_a_reboot_what_ran_is_interrupted_and_does_not_run_again(quick_system: System, scene: Scene) -> None:
    agent = quick_system.start_agent()
    name = scene.ask(GATED)
    scene.wait_for_start(name)
    scene.broken_on_purpose.add(name)
    kill_machine(agent, quick_system.folder / "i-one")
    start_agent_after_reboot(quick_system)
    row = scene.wait(name)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    assert "restarted" in row.outcome.error_info
    scene.push_again(name, 5)
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()
