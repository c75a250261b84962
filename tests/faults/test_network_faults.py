"""The line between an agent and Redis is cut, silent, slow, or broken again and again."""

from collections.abc import Iterator

import pytest
from faults.scene import Scene
from faults.scripts import CHATTY, FAILING, GATED, LONG, QUICK

from harness.eventually import always, eventually
from harness.redis_server import RedisServer
from harness.system import System
from harness.tcp_proxy import TcpProxy


@pytest.fixture
def line(redis_server: RedisServer) -> Iterator[TcpProxy]:
    """The agent's line; the operator has another one."""
    with TcpProxy(redis_server.port) as proxy:
        yield proxy


def start_agent(system: System, line: TcpProxy) -> None:
    system.start_agent(redis_url=f"redis://127.0.0.1:{line.port}/0")


def test_a_cut_line_keeps_results_until_it_is_whole_again(quick_system: System, scene: Scene, line: TcpProxy) -> None:
    start_agent(quick_system, line)
    name = scene.ask(GATED)
    scene.wait_for_start(name)
    line.cut()
    waiting = scene.ask(QUICK)
    scene.traces.go.touch()
    eventually(lambda: scene.traces.of(name).end_count == 1, 10, "the script ends")
    always(lambda: scene.traces.of(waiting).start_count == 0, 1, "what was asked for meanwhile waits")
    line.heal()

    assert scene.wait(name).outcome.exit_code == GATED.exit_code
    assert scene.wait(waiting).state == "Success"
    scene.settle()


def test_a_line_that_breaks_during_every_step_loses_nothing(quick_system: System, scene: Scene, line: TcpProxy) -> None:
    start_agent(quick_system, line)
    names = []
    for script in (QUICK, FAILING, CHATTY, LONG) * 3:
        names.append(scene.ask(script))
        line.drop_connections()
    for name in names:
        scene.wait(name, 40)
    scene.settle()


def test_a_stop_reaches_a_script_whose_line_was_cut(quick_system: System, scene: Scene, line: TcpProxy) -> None:
    start_agent(quick_system, line)
    name = scene.ask(GATED)
    scene.wait_for_start(name)
    line.cut()
    scene.stop(name)
    line.heal()

    assert scene.wait(name).state == "Terminated"
    scene.settle()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_half_open_line_is_noticed_and_nothing_is_lost(quick_system: System, scene: Scene, line: TcpProxy) -> None:
    start_agent(quick_system, line)
    running = scene.ask(GATED)
    scene.wait_for_start(running)
    line.half_open(serve_new_connections=True)
    scene.traces.go.touch()
    later = scene.ask(QUICK, deliver_within_seconds=90)

    assert scene.wait(running, 60).outcome.exit_code == GATED.exit_code
    assert scene.wait(later, 60).state == "Success"
    line.heal()
    scene.settle()


def test_a_slow_line_only_takes_longer(quick_system: System, scene: Scene, line: TcpProxy) -> None:
    line.set_delay_ms(250)
    line.set_bandwidth(20_000)
    start_agent(quick_system, line)
    names = [scene.ask(script) for script in (QUICK, CHATTY, FAILING)]
    for name in names:
        scene.wait(name)
    scene.settle()
