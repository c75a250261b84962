"""The instance's disk is full, or its clock jumps."""

import sys
from pathlib import Path

import pytest
from faults.agents import start
from faults.scene import Scene
from faults.scripts import CHATTY, GATED, QUICK

from harness.clock import SteppedClock
from harness.disk import fill, small_disk
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System

_CLOCKED_AGENT = Path(__file__).with_name("clocked_agent.py")


def test_a_disk_that_fills_up_during_an_outage_loses_no_result(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    with small_disk(quick_system.folder / "i-one", 8 << 20) as disk:
        agent = quick_system.start_agent()
        running = scene.ask(GATED)
        scene.wait_for_start(running)
        ballast = fill(disk)
        redis_server.kill()
        scene.traces.go.touch()
        eventually(lambda: scene.traces.of(running).end_count == 1, 10, "the script ends")
        redis_server.start()
        # With no room the result itself must not get lost.
        assert scene.wait(running).outcome.exit_code == GATED.exit_code
        assert agent.is_running
        ballast.unlink()
        assert scene.wait(scene.ask(CHATTY)).state == "Success"
        scene.settle()
        agent.stop()


@pytest.mark.parametrize("step_seconds", [-7200, 200, 86_400])
def test_a_clock_that_steps_moves_no_deadline_and_starts_nothing_twice(
    quick_system: System, scene: Scene, tmp_path: Path, step_seconds: int
) -> None:
    clock = SteppedClock(tmp_path / "clock")
    scene.clocks_agree = False
    quick_system.environment.update(clock.environment)
    start(quick_system, [sys.executable, _CLOCKED_AGENT, "run"], "i-one")
    running = scene.ask(GATED)
    scene.wait_for_start(running)
    clock.step(step_seconds)
    scene.push_again(running, 5)
    scene.traces.go.touch()

    assert scene.wait(running).outcome.exit_code == GATED.exit_code
    # A clock that is off by more than the tolerance refuses with a reason; within it all goes on.
    later = scene.wait(scene.ask(QUICK))
    if step_seconds > 300:
        assert (later.state, later.outcome.error_code) == ("Invalid", "EnvelopeExpired")
    else:
        assert later.state == "Success"
    clock.step(-step_seconds)
    scene.push_again(running, 5)
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()
