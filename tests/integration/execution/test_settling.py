"""Between the end of a script and the word that its result is safe: somebody has it at every moment."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from integration.execution.running import Runner, is_alive, kill_all_of, script_of, to_the_end

from cloud_assistant.worker.execution.events import Ended
from cloud_assistant.worker.execution.record import ExitRecord, load_exit
from cloud_assistant.worker.execution.running_script import RunningScript
from cloud_assistant.worker.execution.script import Script
from harness.eventually import always, eventually


def ended(running: RunningScript) -> ExitRecord:
    """Hear of the end, and say nothing yet."""
    [*_, last] = running.events(timeout=30)
    assert isinstance(last, Ended)
    return last.record


def on_disk(runner: Runner, script: Script) -> ExitRecord | None:
    return load_exit(str(runner.folder_of(script)))


def test_what_is_taken_at_once_leaves_nothing_and_its_folder_serves_the_next(runner: Runner) -> None:
    spares = runner.home.with_name(runner.home.name + "-spare")
    spares.mkdir()
    for _ in range(3):
        script = script_of("echo done; touch $(dirname $0)/beside")
        running = runner.start(script)
        ended(running)
        assert running.settle(clears=True)
        eventually(lambda: len(list(spares.iterdir())) == 1, what="the emptied folder is kept")
        assert list(runner.home.iterdir()) == []
    assert len(runner.supervisors()) == 1


def test_a_supervisor_is_free_only_when_its_script_is_settled(runner: Runner) -> None:
    first = runner.start(script_of("echo first"))
    ended(first)
    assert runner.run("echo second").stdout == b"second\n"
    assert len(runner.supervisors()) == 2

    assert first.settle(clears=True)
    assert not first.settle(clears=True), "once"


def test_an_agent_that_says_nothing_finds_the_record_on_disk(runner: Runner) -> None:
    runner.home.with_name(runner.home.name + "-spare").mkdir()
    script = script_of("echo kept; exit 4")
    running = runner.start(script)
    record = ended(running)

    found = eventually(lambda: on_disk(runner, script), what="the record is on disk")

    assert (found.exit_code, found.output.merged()) == (4, b"kept\n")
    assert found.finished_ms == record.finished_ms
    assert not (runner.folder_of(script) / "script.sh").exists()
    assert running.settle(clears=True)
    eventually(lambda: not runner.folder_of(script).exists(), what="it goes when the result is safe after all")
    assert runner.run("echo next").stdout == b"next\n"
    assert len(runner.supervisors()) == 1


@pytest.mark.parametrize("content", ["exit 4", "sleep 0.05; exit 4"])
def test_an_agent_that_ends_before_it_has_said_so_finds_the_record_on_disk(runner: Runner, content: str) -> None:
    script = script_of(content)
    running = runner.start(script)
    ended(running)
    running.close()

    assert eventually(lambda: on_disk(runner, script), what="the record is on disk").exit_code == 4
    adopted = runner.launcher.adopt(runner.folder_of(script))
    assert adopted is not None
    assert to_the_end(adopted).record.exit_code == 4
    assert not adopted.settle(clears=True), "nobody else is there to clear it away"


def test_a_script_that_removes_its_own_folder_has_a_result_all_the_same(runner: Runner) -> None:
    script = script_of('rm -rf "$(dirname "$0")"; echo gone; exit 4')
    running = runner.start(script)
    ended(running)
    running.close()

    found = eventually(lambda: on_disk(runner, script), what="the record is on disk")

    assert (found.exit_code, found.output.merged()) == (4, b"gone\n")
    assert stat.S_IMODE(runner.folder_of(script).stat().st_mode) == 0o700


def test_an_agent_killed_at_the_end_of_a_script_loses_nothing(runner: Runner) -> None:
    """The record lies in the dead agent's socket, read by nobody."""
    script = script_of("exit 4")
    agent_file = Path(__file__).parent / "agents" / "short_lived.py"
    ready = runner.home / "ready"
    arguments = [runner.home, ready, "exit 4", script.execution_id]
    agent = subprocess.Popen([sys.executable, str(agent_file), *map(str, arguments), "60"])
    try:
        eventually(ready.exists, what="the script was started by an agent that listens to nobody")
        agent.kill()
        agent.wait()
        found = eventually(lambda: on_disk(runner, script), what="the record is on disk")
        assert (found.reason, found.exit_code) == ("exited", 4)
    finally:
        agent.kill()
        agent.wait()
        kill_all_of(script)


def test_what_is_left_to_the_agent_is_not_touched_any_more(runner: Runner) -> None:
    script = script_of("true")
    running = runner.start(script)
    ended(running)
    (runner.folder_of(script) / "outcome.json").write_text("{}")

    assert not running.settle(clears=False)

    eventually(lambda: not (runner.folder_of(script) / "script.sh").exists(), what="the script goes all the same")
    assert runner.run("true").record.exit_code == 0
    always((runner.folder_of(script) / "outcome.json").exists, for_seconds=0.2)


def test_a_supervisor_killed_after_the_end_costs_nothing_but_the_clearing(runner: Runner) -> None:
    script = script_of("echo fine")
    supervisor = runner.only_supervisor()
    running = runner.start(script)
    record = ended(running)
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor is dead")

    assert not running.settle(clears=True)
    assert record.exit_code == 0
    assert runner.run("echo next").stdout == b"next\n"


def test_a_stop_that_comes_after_the_end_disturbs_nothing(runner: Runner) -> None:
    running = runner.start(script_of("exit 4"))
    assert ended(running).exit_code == 4

    running.stop()

    assert running.settle(clears=True)
    assert runner.run("echo next").stdout == b"next\n"
    assert len(runner.supervisors()) == 1


def test_background_processes_can_write_while_nobody_takes_the_result(runner: Runner) -> None:
    """What holds the pipes must not stand still, or die, because the result waits."""
    wrote = runner.home / "wrote"
    script = script_of(f"(trap '' PIPE; head -c 300000 /dev/zero; echo ok > {wrote}) & sleep 0.1", drain_seconds=0.01)
    running = runner.start(script)
    ended(running)
    eventually(wrote.exists, what="the background process has written all")
    assert running.settle(clears=True)
    kill_all_of(script)


def test_a_record_goes_to_disk_also_while_background_processes_never_stop_writing(runner: Runner) -> None:
    script = script_of("yes & sleep 0.1; exit 4", drain_seconds=0.01)
    running = runner.start(script)
    ended(running)

    found = eventually(lambda: on_disk(runner, script), what="the record is on disk")

    assert (found.exit_code, found.left_running) == (4, 1)
    assert running.settle(clears=True)
    kill_all_of(script)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_supervisor_that_is_told_to_end_writes_what_nobody_has_taken(runner: Runner, number: signal.Signals) -> None:
    supervisor = runner.only_supervisor()
    script = script_of("exit 4")
    running = runner.start(script)
    ended(running)
    os.kill(supervisor.pid, number)

    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor has ended")

    found = on_disk(runner, script)
    assert found is not None
    assert found.exit_code == 4
    assert not running.settle(clears=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_supervisor_that_is_told_to_end_sees_its_script_to_its_end(runner: Runner, number: signal.Signals) -> None:
    supervisor = runner.only_supervisor()
    gate = runner.home / "gate"
    running = runner.start(script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done; echo done"))
    os.kill(supervisor.pid, number)
    gate.touch()
    assert to_the_end(running).stdout == b"done\n"


def test_who_opens_a_script_as_it_is_emptied_does_not_end_the_supervisor(runner: Runner) -> None:
    """The kernel tells the one who holds the file by a signal that ends whoever does not expect it."""
    supervisor = runner.only_supervisor()
    os.kill(supervisor.pid, signal.SIGIO)
    assert runner.run("echo done").stdout == b"done\n"
    assert runner.only_supervisor().pid == supervisor.pid
