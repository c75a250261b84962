"""Promise 3: a script goes on without its agent, and the next agent delivers how it ended."""

import itertools
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from integration.agent.gated_script import finish, started
from integration.agent.operator_side import Execution, Operator, agent_program, side_effects

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.states import is_final
from harness.disk import small_disk
from harness.eventually import eventually
from harness.proc import process, processes_using, send
from harness.processes import clean_environment, installed_program
from harness.redis_server import RedisServer
from harness.system import System
from harness.tcp_proxy import TcpProxy


def claimed(operator: Operator, executions: list[tuple[str, int, Execution]], wanted: int) -> bool:
    return wanted <= sum(operator.row(one).state != "Pending" for _, _, one in executions)


@pytest.mark.parametrize("ends_while", ["the agent is away", "the next agent runs"])
def test_a_killed_agents_script_is_reported_by_the_next(
    quick_system: System, operator: Operator, tmp_path: Path, ends_while: str
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path, first="echo one", last="echo two", exit_code=7)

    agent.sigkill()
    if ends_while == "the agent is away":
        finish(tmp_path)
        quick_system.start_agent()
    else:
        quick_system.start_agent()
        assert operator.row(execution).state == "Running", operator.row(execution)
        (tmp_path / "go").touch()
    row = operator.wait(execution)

    assert (row.state, row.outcome.exit_code) == ("Failed", 7)
    assert row.outcome.output.data == b"one\ntwo\n"
    assert side_effects(tmp_path / "effects") == ["start", "end"]
    assert eventually(lambda: not list((agent.home / "spool").iterdir()), 5, "the spool is empty")


def test_sigterm_ends_the_agent_at_once_and_leaves_scripts_running(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path, exit_code=7)

    agent.sigterm()
    assert agent.wait(within_seconds=3) == 0
    assert "connection of the queue was lost" not in agent.log(), "it was we who broke it"
    assert operator.redis.call("EXISTS", keys.info("i-one")) == 0
    assert side_effects(tmp_path / "effects") == ["start"]
    quick_system.start_agent()
    (tmp_path / "go").touch()

    assert operator.wait(execution).outcome.exit_code == 7
    assert side_effects(tmp_path / "effects") == ["start", "end"]


def test_an_agent_whose_log_nobody_reads_ends_when_it_is_told_to(quick_system: System) -> None:
    """As a service whose log is stuck: a line is written for ever, and holds up whoever writes another one."""
    reader, writer = os.pipe()
    made = agent_program(quick_system)
    made.cwd.mkdir()
    agent = subprocess.Popen(made.argv, env=made.env, cwd=made.cwd, stdin=subprocess.DEVNULL, stderr=writer)
    try:
        said = b""
        while b"agent ready" not in said:
            said += os.read(reader, 65536)
        # An opening of our own: the agent's would not wait either.
        filling = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(filling, b"x")
        os.close(filling)
        agent.terminate()
        assert agent.wait(20) == 0
    finally:
        agent.kill()
        agent.wait()
        os.close(reader)
        os.close(writer)


def test_an_adopted_script_can_be_stopped(quick_system: System, operator: Operator, tmp_path: Path) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    agent.sigkill()
    quick_system.start_agent()

    operator.stop(execution)
    row = operator.wait(execution)

    assert (row.state, row.outcome.survivors) == ("Terminated", 0)


def test_a_stop_asked_for_while_the_agent_was_away_is_done_at_its_return(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    agent.sigkill()
    operator.stop(execution)
    quick_system.start_agent()

    assert operator.wait(execution).state == "Terminated"


def test_an_agent_killed_between_claim_and_start_says_that_nothing_ran(
    quick_system: System, operator: Operator, redis_server: RedisServer, tmp_path: Path
) -> None:
    with TcpProxy(redis_server.port) as proxy:
        agent = quick_system.start_agent(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
        # The claim reaches Redis and its answer is still on its way when the agent is killed.
        proxy.set_delay_ms(400)
        execution = operator.invoke_one(f"echo ran >> {tmp_path}/ran")
        operator.wait_for_state(execution, "Running")
        agent.sigkill()
    quick_system.start_agent()
    row = operator.wait(execution)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    assert "never ran" in row.outcome.error_info
    assert side_effects(tmp_path / "ran") == []


def test_when_agent_and_supervisor_are_killed_the_execution_is_interrupted_and_nothing_survives(
    quick_system: System, operator: Operator, tmp_path: Path
) -> None:
    agent = quick_system.start_agent()
    execution = started(operator, tmp_path)
    tree = agent.tree()
    agent.sigkill()
    for info in tree:
        if "supervisor" in info.command:
            send(info, signal.SIGKILL)
    quick_system.start_agent()
    row = operator.wait(execution)

    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    assert row.outcome.output.data in (b"", b"one\n")
    assert not [info for info in processes_using(tmp_path) if "sleep" in info.command and process(info.pid)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agents_killed_at_any_moment_start_nothing_twice_and_lose_nothing(
    quick_system: System, operator: Operator, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    operator.register("i-one")
    agent = quick_system.start_agent()
    executions = []
    for number in range(5):
        for part in range(4):
            name = f"{number}-{part}"
            pause = dice.choice(["", "sleep 0.05;", "sleep 0.4;"])
            script = f"echo {name} >> {tmp_path}/starts; {pause} echo {name}; exit {part}"
            executions.append((name, part, operator.invoke_one(script)))
        wanted = min(len(executions), number * 4 + dice.choice([1, 3, 6]))
        eventually(partial(claimed, operator, executions, wanted), 10, "some are claimed", every_seconds=0.001)
        agent.sigkill()
        agent = quick_system.start_agent()

    for name, part, execution in executions:
        row = operator.wait(execution)
        assert is_final(row.state)
        if row.outcome.error_code == "ExecutionInterrupted":
            continue
        assert (row.outcome.exit_code, row.outcome.output.data) == (part, f"{name}\n".encode()), row
    starts = side_effects(tmp_path / "starts")
    assert sorted(starts) == sorted(set(starts))
    ran = {name for name, _, one in executions if operator.row(one).outcome.error_code != "ExecutionInterrupted"}
    assert set(starts) >= ran
    never_ran = {name for name, _, one in executions if "never ran" in operator.row(one).outcome.error_info}
    assert not never_ran & set(starts)


@pytest.mark.parametrize("ends_by", ["itself", "a stop", "the death of its supervisor"])
def test_a_script_whose_claim_the_disk_did_not_take_is_found_by_the_next_agent(
    quick_system: System, operator: Operator, tmp_path: Path, ends_by: str
) -> None:
    with small_disk(quick_system.folder / "i-one" / "spool", 10_000_000, file_count=40) as spool:
        agent = quick_system.start_agent()
        ballast = list(files_until_none_is_left(spool))
        execution = started(operator, tmp_path, first="echo one", last="echo two", exit_code=7)
        supervisors = [info for info in agent.tree() if "supervisor" in info.command]
        agent.sigkill()
        for path in ballast:
            path.unlink()
        quick_system.start_agent()

        assert operator.row(execution).state == "Running", operator.row(execution)
        if ends_by == "itself":
            finish(tmp_path)
        elif ends_by == "a stop":
            operator.stop(execution)
        else:
            for info in supervisors:
                # Those that waited for a script have left with their agent.
                send(info, signal.SIGKILL)
        row = operator.wait(execution)

        if ends_by == "itself":
            assert (row.state, row.outcome.exit_code, row.outcome.output.data) == ("Failed", 7, b"one\ntwo\n")
        elif ends_by == "a stop":
            assert (row.state, row.outcome.survivors) == ("Terminated", 0)
        else:
            assert (row.state, "supervisor was killed" in row.outcome.error_info) == ("Error", True)
            assert not [info for info in processes_using(tmp_path) if "sleep" in info.command and process(info.pid)]
        quick_system.stop()


def files_until_none_is_left(folder: Path) -> Iterator[Path]:
    """Make files until the disk has no place for another one."""
    for number in itertools.count():
        path = folder / f".ballast{number}"
        try:
            path.touch()
        except OSError:
            return
        yield path


def test_an_agent_that_finds_the_disk_full_at_its_start_asks_to_be_started_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 300_000) as home:
        # Room for the lock and a line of log, not for the journal.
        (home / "fill").write_bytes(bytes(200_000))
        given = {
            "CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true",
            "CLOUD_ASSISTANT_HOME": str(home),
            "CLOUD_ASSISTANT_INSTANCE_ID": "i-one",
            "CLOUD_ASSISTANT_REDIS_URL": "redis://127.0.0.1:1/0",
        }
        environment = clean_environment(tmp_path, given)
        command = f"{installed_program('assist-agent')} run"
        outcome = subprocess.run(
            command.split(), env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    # No service manager starts it again after exit code 2, which is for settings.
    assert (outcome.returncode, "No space" in outcome.stderr) == (75, True), outcome.stderr
