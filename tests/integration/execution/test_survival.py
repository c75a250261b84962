"""Whatever dies in the middle of a script, its end is on disk and true."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.execution.running import Runner, is_alive, kill_all_of, processes_of, script_of, to_the_end

from cloud_assistant.worker.execution.events import Started
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import load_exit, load_output, load_start
from cloud_assistant.worker.execution.script import Script
from harness import proc
from harness.eventually import always, eventually

AGENT = Path(__file__).parent / "agents" / "short_lived.py"


@contextmanager
def killed_agent(runner: Runner, script: Script) -> Iterator[int]:
    """Let an agent of its own start the script, kill it, and give the pid of its fork server, which is gone too."""
    ready = runner.home / f"{script.execution_id}.ready"
    arguments = [runner.home, ready, script.content.decode(), script.execution_id, script.timeout_seconds]
    agent = subprocess.Popen([sys.executable, str(AGENT), *map(str, arguments)], start_new_session=True)
    try:
        eventually(lambda: ready.exists() and ready.read_text(), what="the agent has started the script")
        fork_server_pid = int(ready.read_text())
        os.killpg(agent.pid, signal.SIGKILL)
        agent.wait()
        eventually(lambda: not is_alive(fork_server_pid), what="the fork server has followed its agent")
        yield fork_server_pid
    finally:
        agent.kill()
        agent.wait()
        kill_all_of(script)


def test_a_script_goes_on_when_its_agent_is_killed_and_its_record_is_true(runner: Runner) -> None:
    gate = runner.home / "gate"
    script = script_of(f"echo before; while [ ! -e {gate} ]; do sleep 0.02; done; echo after >&2; exit 9")
    with killed_agent(runner, script):
        assert processes_of(script)
        start = load_start(str(runner.folder_of(script)))
        assert start is not None
        assert proc.process(start.pid) is not None
        gate.touch()
        record = eventually(lambda: load_exit(str(runner.folder_of(script))), what="the exit record is on disk")
    assert (record.reason, record.exit_code, record.error_code) == ("exited", 9, "ExitCodeNonzero")
    assert record.output.merged() == b"before\nafter\n"
    assert record.execution_id == script.execution_id
    eventually(lambda: not is_alive(start.supervisor_pid), what="the supervisor has ended")


def test_an_adopted_script_reports_output_and_end_to_the_next_agent(runner: Runner) -> None:
    gate = runner.home / "gate"
    script = script_of(f"echo before; while [ ! -e {gate} ]; do sleep 0.02; done; echo after; exit 9")
    with killed_agent(runner, script):
        running = runner.launcher.adopt(runner.folder_of(script))
        assert running is not None
        assert running.execution_id == script.execution_id
        events = running.events(timeout=10)
        assert isinstance(next(events), Started)
        chunk = next(events)
        assert isinstance(chunk, OutputChunk)
        assert chunk.frames == [(1, b"before\n")]
        assert list(running.events(timeout=0.05)) == []
        gate.touch()
        outcome = to_the_end(running)
    assert (outcome.record.reason, outcome.record.exit_code) == ("exited", 9)
    rest = outcome.record.output.newest_after(chunk.end_bytes, 100)
    assert rest.frames == [(1, b"after\n")]


def test_an_adopted_script_can_be_stopped(runner: Runner) -> None:
    script = script_of("trap '' TERM; (setsid sleep 1000 &); while :; do sleep 1000; done")
    with killed_agent(runner, script):
        eventually(lambda: len(processes_of(script)) >= 3)
        running = runner.launcher.adopt(runner.folder_of(script))
        assert running is not None
        running.stop()
        outcome = to_the_end(running)
        assert (outcome.record.reason, outcome.record.survivors) == ("stopped", 0)
        assert processes_of(script) == []


def test_a_timeout_strikes_without_any_agent(runner: Runner) -> None:
    script = script_of("echo hi; sleep 1000", timeout_seconds=0.8)
    with killed_agent(runner, script):
        record = eventually(lambda: load_exit(str(runner.folder_of(script))), what="the exit record is on disk")
        assert (record.reason, record.survivors, record.output.merged()) == ("timeout", 0, b"hi\n")
        running = runner.launcher.adopt(runner.folder_of(script))
        assert running is not None
        assert running.fileno() == -1
        running.stop()
        assert [type(event).__name__ for event in running.events()] == ["Ended"]


def _start_with_stubborn_tree(runner: Runner) -> tuple[Script, "object", int]:
    script = script_of(
        "trap '' TERM; echo saved; (setsid env -i sleep 1000 &) ; setsid sh -c 'sleep 1000; :' & sleep 1000; :"
    )
    running = runner.start(script)
    eventually(lambda: load_output(str(runner.folder_of(script))), what="output is saved")
    start = load_start(str(runner.folder_of(script)))
    assert start is not None
    return script, running, start.supervisor_pid


@pytest.mark.parametrize("with_group", [True, False])
def test_a_killed_supervisor_is_noticed_and_nothing_of_its_script_stays(runner: Runner, with_group: bool) -> None:
    script = script_of("trap '' TERM; echo saved; (setsid sleep 1000 &); setsid sh -c 'sleep 1000; :' & sleep 1000; :")
    running = runner.start(script)
    folder = runner.folder_of(script)
    eventually(lambda: load_output(str(folder)), what="output is saved")
    start = load_start(str(folder))
    assert start is not None
    if not with_group:
        (folder / "started.json").write_text(
            json.dumps({name: getattr(start, name) for name in start.__slots__} | {"cgroup": ""})
        )
    tree = eventually(lambda: pids if len(pids := processes_of(script)) >= 4 else None)
    os.kill(start.supervisor_pid, signal.SIGKILL)
    outcome = to_the_end(running)
    assert outcome.record.reason == "supervisor_lost"
    assert outcome.record.error_code == "ExecutionInterrupted"
    assert outcome.record.output.merged() == b"saved\n"
    assert (outcome.record.exit_code, outcome.record.signal, outcome.record.survivors) == (None, None, 0)
    assert not any(is_alive(pid) for pid in tree)
    assert outcome.record.steps[0].process_count >= 4
    on_disk = load_exit(str(folder))
    assert on_disk is not None
    assert on_disk.reason == "supervisor_lost"
    assert sorted(path.name for path in folder.iterdir()) == ["claim", "exit.json", "started.json"]
    assert runner.run("echo next").stdout == b"next\n"


def test_a_supervisor_killed_while_no_agent_was_there_is_settled_by_the_next(runner: Runner) -> None:
    script = script_of("echo saved; (setsid sleep 1000 &); sleep 1000")
    with killed_agent(runner, script):
        eventually(lambda: load_output(str(runner.folder_of(script))), what="output is saved")
        running = runner.launcher.adopt(runner.folder_of(script))
        assert running is not None
        start = load_start(str(runner.folder_of(script)))
        assert start is not None
        os.kill(start.supervisor_pid, signal.SIGKILL)
        begun_at = time.monotonic()
        outcome = to_the_end(running)
        assert time.monotonic() - begun_at < 5
        assert outcome.record.reason == "supervisor_lost"
        assert outcome.record.output.merged() == b"saved\n"
        assert processes_of(script) == []


def test_a_script_that_has_removed_its_folder_is_not_told_as_never_started(runner: Runner) -> None:
    gate = runner.home / "gate"
    script = script_of(f'while [ ! -e {gate} ]; do sleep 0.02; done; rm -rf "$(dirname "$0")"; rm {gate}; sleep 1000')
    with killed_agent(runner, script):
        running = runner.launcher.adopt(runner.folder_of(script))
        start = load_start(str(runner.folder_of(script)))
        assert running is not None
        assert start is not None
        gate.touch()
        eventually(lambda: not gate.exists(), what="the folder is removed")
        os.kill(start.supervisor_pid, signal.SIGKILL)

        record = to_the_end(running).record

        assert (record.reason, record.error_code) == ("supervisor_lost", "ExecutionInterrupted")
        assert processes_of(script) == []


def test_an_idle_supervisor_that_is_killed_costs_no_script(runner: Runner) -> None:
    for _ in range(3):
        supervisor = runner.only_supervisor()
        os.kill(supervisor.pid, signal.SIGKILL)
        assert runner.run("echo fine").stdout == b"fine\n"


def test_a_killed_fork_server_is_replaced(runner: Runner) -> None:
    before = runner.launcher.fork_server_pid
    running = runner.start(script_of("sleep 0.3; echo first"))
    os.kill(before, signal.SIGKILL)
    assert runner.run("echo second").stdout == b"second\n"
    assert runner.launcher.fork_server_pid != before
    assert to_the_end(running).stdout == b"first\n"


def test_a_reboot_in_the_middle_is_told_apart(runner: Runner) -> None:
    script = script_of("sleep 1000")
    running = runner.start(script)
    folder = runner.folder_of(script)
    eventually(lambda: (start := load_start(str(folder))) and start.pid, what="the start is complete on disk")
    copy = runner.home / "copy"
    copy.mkdir()
    start = json.loads((folder / "started.json").read_text())
    (copy / "started.json").write_text(json.dumps(start | {"boot_id": "another"}))
    adopted = runner.launcher.adopt(copy)
    assert adopted is not None
    outcome = to_the_end(adopted)
    assert outcome.record.reason == "supervisor_lost"
    assert outcome.record.error_code == "ExecutionInterrupted"
    assert "restarted" in outcome.record.error_info
    assert processes_of(script), "processes of this boot are none of that execution's business"
    running.stop()
    to_the_end(running)


def test_a_given_up_execution_is_never_started(runner: Runner) -> None:
    script = script_of(f"touch {runner.home}/ran")
    plan = prepare(script, runner.folder_of(script))
    runner.folder_of(script).mkdir()
    assert runner.launcher.adopt(runner.folder_of(script)) is None
    with pytest.raises(
        Exception, match="gave this execution up before its script started, which never ran; invoke it again"
    ):
        runner.launcher.launch(plan)
    always(lambda: not (runner.home / "ran").exists(), for_seconds=0.2)
    assert runner.launcher.adopt(runner.folder_of(script)) is not None


def test_letting_go_of_a_script_does_not_end_it(runner: Runner) -> None:
    gate = runner.home / "gate"
    script = script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done; echo done")
    with runner.start(script) as running:
        assert running.fileno() >= 0
    running.close()
    assert processes_of(script)
    adopted = runner.launcher.adopt(runner.folder_of(script))
    assert adopted is not None
    gate.touch()
    assert to_the_end(adopted).stdout == b"done\n"


def test_the_agents_own_output_ends_with_the_agent(runner: Runner) -> None:
    """Whoever reads the agent's log through a pipe is not held up by a script that goes on."""
    script = script_of("sleep 1000")
    ready = runner.home / "ready"
    arguments = [runner.home, ready, "sleep 1000", script.execution_id, 60]
    agent = subprocess.Popen(
        [sys.executable, str(AGENT), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    eventually(lambda: ready.exists() and ready.read_text(), what="the agent has started the script")
    agent.kill()
    assert agent.communicate(timeout=5) == (b"", b"")
    assert processes_of(script)
    running = runner.launcher.adopt(runner.folder_of(script))
    assert running is not None
    running.stop()
    assert to_the_end(running).record.reason == "stopped"
