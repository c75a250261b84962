"""What has to be true before a script starts: the journal is on disk, the folder is claimed, the agent lives."""

import errno
import os
import signal
from pathlib import Path

import pytest
from integration.execution.running import Runner, is_alive, script_of, to_the_end

from cloud_assistant.worker.execution.channel import Channel, Kind
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import STARTED_FILE, StartRecord, load_exit
from cloud_assistant.worker.execution.script import Script
from harness import proc
from harness.eventually import always, eventually


def touching(runner: Runner) -> Script:
    return script_of(f"echo x >> {runner.home}/ran; echo done")


def run_count(runner: Runner) -> int:
    ran = runner.home / "ran"
    return len(ran.read_text().split()) if ran.exists() else 0


def plan_of(runner: Runner, script: Script) -> Plan:
    return prepare(script, runner.folder_of(script))


def journal_at(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def test_a_script_whose_journal_cannot_be_forced_to_disk_never_starts(runner: Runner) -> None:
    """What cannot be synchronised at all stands for a disk that fails."""
    script = touching(runner)
    plan = plan_of(runner, script)
    plan.journal_fd, writer = os.pipe()

    with pytest.raises(NotStarted, match=r"journal of started scripts cannot be written \(Invalid argument\)"):
        runner.launcher.launch(plan)

    os.close(writer)
    assert run_count(runner) == 0
    assert runner.run("echo next").stdout == b"next\n"


def test_descriptors_of_the_journal_are_closed_on_both_sides(runner: Runner, tmp_path: Path) -> None:
    runner.run("true")
    supervisor = runner.only_supervisor()
    runner.wait_until_calm(supervisor)
    counts = proc.fd_count(supervisor.pid), proc.fd_count(os.getpid())
    for _ in range(5):
        plan = plan_of(runner, touching(runner))
        plan.journal_fd = journal_at(tmp_path / "journal")
        to_the_end(runner.launcher.launch(plan))
    refused = plan_of(runner, script_of("true"))
    refused.journal_fd = journal_at(tmp_path / "journal")
    (runner.home / refused.execution_id).mkdir()
    (runner.home / refused.execution_id / STARTED_FILE).touch()
    with pytest.raises(NotStarted, match="gave this execution up"):
        runner.launcher.launch(refused)

    assert run_count(runner) == 5
    runner.wait_until_calm(supervisor)
    assert (proc.fd_count(supervisor.pid), proc.fd_count(os.getpid())) == counts


def test_a_script_in_the_journal_does_not_see_it(runner: Runner, tmp_path: Path) -> None:
    plan = plan_of(runner, script_of("ls -l /proc/self/fd"))
    plan.journal_fd = journal_at(tmp_path / "journal")
    assert b"journal" not in to_the_end(runner.launcher.launch(plan)).stdout


def test_a_plan_that_is_read_after_the_agents_end_starts_nothing(runner: Runner) -> None:
    """The next agent may have said by then that it never runs."""
    script = touching(runner)
    plan = plan_of(runner, script)
    supervisor = runner.only_supervisor()
    [channel] = runner.launcher._idle
    os.kill(supervisor.pid, signal.SIGSTOP)
    channel.send(Kind.PLAN, plan.to_bytes())
    channel.close()
    os.kill(supervisor.pid, signal.SIGCONT)
    eventually(lambda: not is_alive(supervisor.pid), what="the supervisor goes home")

    record = load_exit(str(runner.folder_of(script)))
    assert record is not None
    assert (record.reason, record.error_code) == ("not_started", "ExecutionInterrupted")
    assert run_count(runner) == 0
    adopted = runner.launcher.adopt(runner.folder_of(script))
    assert adopted is not None
    assert to_the_end(adopted).record.reason == "not_started"


@pytest.fixture
def killed_with_an_unread_plan(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first supervisor die after the next plan was sent to it, and before it reads that."""
    supervisor, send = runner.only_supervisor(), runner.launcher._send
    os.kill(supervisor.pid, signal.SIGSTOP)

    def send_and_kill(plan: Plan) -> Channel:
        channel = send(plan)
        os.kill(supervisor.pid, signal.SIGKILL)
        monkeypatch.setattr(runner.launcher, "_send", send)
        return channel

    monkeypatch.setattr(runner.launcher, "_send", send_and_kill)


@pytest.mark.usefixtures("killed_with_an_unread_plan")
def test_a_supervisor_killed_with_an_unread_plan_is_replaced_and_the_script_runs_once(runner: Runner) -> None:
    outcome = to_the_end(runner.start(touching(runner)))

    assert (outcome.record.reason, outcome.stdout, run_count(runner)) == ("exited", b"done\n", 1)


@pytest.mark.usefixtures("killed_with_an_unread_plan")
def test_what_a_killed_supervisor_had_begun_to_make_does_not_hinder_the_next(runner: Runner) -> None:
    script = touching(runner)
    runner.folder_of(script).mkdir()
    (runner.folder_of(script) / "claim").touch()

    outcome = to_the_end(runner.start(script))

    assert (outcome.record.reason, outcome.stdout, run_count(runner)) == ("exited", b"done\n", 1)


def test_a_plan_that_there_is_no_memory_for_ends_with_that_reason_at_once(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for as if it had been sent, for as long as its supervisor lived."""
    supervisor = runner.only_supervisor()

    def refuse(_: bytes) -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as patch:
        patch.setattr("cloud_assistant.worker.execution.channel._memory_file", refuse)
        with pytest.raises(NotStarted, match="Cannot allocate memory"):
            runner.start(script_of("true #" + "x" * 60_000))

    assert runner.run("echo next").stdout == b"next\n"
    assert [one.pid for one in runner.supervisors()] == [supervisor.pid]


def test_an_unexpected_message_starts_nothing(runner: Runner) -> None:
    [channel] = runner.launcher._idle
    channel.send(Kind.STOP)
    channel.send(Kind.TAKEN)

    assert runner.run("echo next").stdout == b"next\n"
    assert len(runner.supervisors()) == 1


def test_what_somebody_has_given_up_is_not_started(runner: Runner) -> None:
    script = touching(runner)
    runner.folder_of(script).mkdir()
    (runner.folder_of(script) / STARTED_FILE).touch()

    with pytest.raises(NotStarted, match="gave this execution up"):
        runner.start(script)

    always(lambda: run_count(runner) == 0, for_seconds=0.1)


def test_what_another_supervisor_has_claimed_is_not_started_once_more(runner: Runner) -> None:
    script = touching(runner)
    start = StartRecord(
        execution_id=script.execution_id,
        boot_id="b",
        supervisor_pid=4711,
        supervisor_start_ticks=1,
        cgroup="",
        started_ms=1,
    )
    runner.folder_of(script).mkdir()
    (runner.folder_of(script) / STARTED_FILE).write_bytes(start.to_bytes())

    with pytest.raises(NotStarted, match=r"supervisor 4711 had claimed this execution before.* whether it has run"):
        runner.start(script)

    assert run_count(runner) == 0


def test_a_script_that_is_there_already_is_not_started(runner: Runner) -> None:
    script = touching(runner)
    runner.folder_of(script).mkdir()
    (runner.folder_of(script) / "script.sh").write_text("echo x")

    with pytest.raises(NotStarted, match="not started twice"):
        runner.start(script)

    assert run_count(runner) == 0
