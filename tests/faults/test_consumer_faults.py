"""The consumer of an agent's queue breaks off, or takes nothing: the agent notices, and takes work again."""

import sys
from pathlib import Path

import pytest
from faults.agents import start
from faults.scene import Scene
from faults.scripts import QUICK

from harness.processes import Program
from harness.system import System

_FAILING_AGENT = Path(__file__).with_name("failing_agent.py")
_RECONNECTING = "messages wait, slots are free, and nothing is taken: reconnecting the queue"


def start_failing_agent(system: System, mode: str) -> Program:
    return start(system, [sys.executable, _FAILING_AGENT, mode, "run"], "i-one")


@pytest.mark.parametrize(
    ("mode", "told"),
    [("fails", "the consumer of the queue ended and is started again"), ("deaf once", _RECONNECTING)],
)
def test_an_agent_whose_consumer_has_a_defect_goes_on(quick_system: System, scene: Scene, mode: str, told: str) -> None:
    agent = start_failing_agent(quick_system, mode)
    names = [scene.ask(QUICK) for _ in range(3)]

    assert [scene.wait(name).state for name in names] == ["Success"] * 3
    assert agent.is_running
    assert agent.log().count(told) == 1
    scene.settle()


def test_a_queue_that_moves_is_left_alone_however_slowly(quick_system: System, scene: Scene) -> None:
    agent = start_failing_agent(quick_system, "slow")
    names = [scene.ask(QUICK) for _ in range(20)]

    assert {scene.wait(name).state for name in names} == {"Success"}
    assert _RECONNECTING not in agent.log()
    scene.settle()


def test_an_agent_that_takes_nothing_even_when_it_connects_anew_ends_to_be_started_again(
    quick_system: System, scene: Scene
) -> None:
    agent = start_failing_agent(quick_system, "deaf")
    name = scene.ask(QUICK)

    assert agent.wait(20) == 75
    assert agent.log().count(_RECONNECTING) == 1
    quick_system.start_agent()
    assert scene.wait(name).state == "Success"
    scene.settle()
