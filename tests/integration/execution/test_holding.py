"""Between the moment a supervisor has all ready and the word that starts the script."""

import os
import signal

import pytest
from integration.execution.running import Runner, is_alive, processes_of, script_of, to_the_end

from cloud_assistant.worker.execution.channel import Channel, Kind
from cloud_assistant.worker.execution.held_script import HeldScript
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import STARTED_FILE, load_exit, load_start
from cloud_assistant.worker.execution.script import Script
from harness.eventually import always, eventually


def hold(runner: Runner, script: Script) -> HeldScript:
    """Hand a script over and wait until its supervisor has all ready."""
    held = runner.launcher.hand_over(prepare(script, runner.folder_of(script)))
    eventually(lambda: load_start(str(runner.folder_of(script))), what="the supervisor has claimed the folder")
    return held


def touching(runner: Runner) -> Script:
    return script_of(f"echo x >> {runner.home}/ran; echo done")


def run_count(runner: Runner) -> int:
    ran = runner.home / "ran"
    return len(ran.read_text().split()) if ran.exists() else 0


def test_nothing_runs_before_the_word(runner: Runner) -> None:
    script = touching(runner)
    held = hold(runner, script)
    always(lambda: run_count(runner) == 0 and not processes_of(script), for_seconds=0.2)

    outcome = to_the_end(held.start())

    assert (outcome.record.reason, outcome.stdout, run_count(runner)) == ("exited", b"done\n", 1)


def test_what_is_cancelled_leaves_nothing_and_its_supervisor_takes_the_next(runner: Runner) -> None:
    supervisor = runner.only_supervisor()
    script = touching(runner)
    held = hold(runner, script)

    held.cancel()
    held.cancel()

    assert list(runner.folder_of(script).iterdir()) == []
    assert run_count(runner) == 0
    assert runner.run("echo next").stdout == b"next\n"
    assert runner.only_supervisor().pid == supervisor.pid


def test_leaving_without_a_word_cancels(runner: Runner) -> None:
    script = touching(runner)
    with hold(runner, script):
        pass

    assert list(runner.folder_of(script).iterdir()) == []
    assert run_count(runner) == 0


def test_a_supervisor_killed_while_it_holds_is_replaced_and_the_script_runs_once(runner: Runner) -> None:
    script = touching(runner)
    held = hold(runner, script)
    supervisor = runner.only_supervisor()
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor is dead")

    outcome = to_the_end(held.start())

    assert (outcome.record.reason, outcome.stdout, run_count(runner)) == ("exited", b"done\n", 1)


def test_cancelling_with_a_dead_supervisor_is_harmless(runner: Runner) -> None:
    held = hold(runner, touching(runner))
    supervisor = runner.only_supervisor()
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor is dead")

    held.cancel()

    assert runner.run("echo next").stdout == b"next\n"


def test_when_the_agent_ends_first_the_script_never_runs_and_its_record_says_so(runner: Runner) -> None:
    script = touching(runner)
    held = hold(runner, script)
    [supervisor] = runner.supervisors()
    channel: Channel = held._channel  # type: ignore[assignment]  # as the end of the agent's process closes it
    channel.close()
    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor goes home")

    record = load_exit(str(runner.folder_of(script)))
    assert record is not None
    assert (record.reason, record.error_code) == ("not_started", "ExecutionInterrupted")
    assert run_count(runner) == 0
    adopted = runner.launcher.adopt(runner.folder_of(script))
    assert adopted is not None
    assert to_the_end(adopted).record.reason == "not_started"


def test_a_word_that_is_read_after_the_agents_end_starts_nothing(runner: Runner) -> None:
    """The next agent may have said by then that it never runs."""
    script = touching(runner)
    held = hold(runner, script)
    [supervisor] = runner.supervisors()
    channel: Channel = held._channel  # type: ignore[assignment]
    os.kill(supervisor.pid, signal.SIGSTOP)
    channel.send(Kind.GO)
    channel.close()
    os.kill(supervisor.pid, signal.SIGCONT)
    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor goes home")

    record = load_exit(str(runner.folder_of(script)))
    assert record is not None
    assert (record.reason, run_count(runner)) == ("not_started", 0)


def test_an_unexpected_message_does_not_start_it(runner: Runner) -> None:
    script = touching(runner)
    held = hold(runner, script)
    channel: Channel = held._channel  # type: ignore[assignment]
    channel.send(Kind.STOP)
    always(lambda: run_count(runner) == 0, for_seconds=0.2)

    held.cancel()

    assert run_count(runner) == 0


def test_what_hinders_the_start_is_told_at_the_start(runner: Runner) -> None:
    script = touching(runner)
    plan = prepare(script, runner.folder_of(script))
    runner.folder_of(script).mkdir()
    (runner.folder_of(script) / STARTED_FILE).touch()

    held = runner.launcher.hand_over(plan)

    with pytest.raises(NotStarted, match="given up"):
        held.start()
    assert run_count(runner) == 0


def test_its_time_counts_from_the_word(runner: Runner) -> None:
    script = script_of("sleep 0.3; echo done", timeout_seconds=1)
    held = hold(runner, script)
    always(lambda: not processes_of(script), for_seconds=0.9)

    outcome = to_the_end(held.start())

    assert (outcome.record.reason, outcome.stdout) == ("exited", b"done\n")
