"""Scripts that threads of the agent watch: real processes in a session, as on systems without supervisors."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from unit.worker.execution.watching import (
    adopted_record,
    alive,
    launch,
    new_execution_id,
    run,
    script_of,
    wait_for_text,
)

from cloud_assistant.worker.execution.events import Ended, Started
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import (
    OUTPUT_FILE,
    load_exit,
)
from cloud_assistant.worker.execution.watched import posix_process, watched_launcher, watched_script
from cloud_assistant.worker.execution.watched.posix_process import SessionSystem
from cloud_assistant.worker.execution.watched.watched_launcher import WatchedLauncher
from harness import proc
from harness.eventually import eventually


def test_a_script_runs_and_its_record_is_written(tmp_path: Path) -> None:
    events, record = run(tmp_path / "x", "echo out; echo err >&2; exit 3")
    assert isinstance(events[0], Started)
    assert (record.reason, record.exit_code, record.error_code) == ("exited", 3, "ExitCodeNonzero")
    assert (record.output.of_stream(1), record.output.of_stream(2)) == (b"out\n", b"err\n")
    assert (record.left_running, record.notes) == (0, [])
    on_disk = load_exit(str(tmp_path / "x"))
    assert on_disk is not None
    assert on_disk.exit_code == 3
    assert not list((tmp_path / "x").glob("script*"))


def test_a_script_that_was_killed_tells_the_signal(tmp_path: Path) -> None:
    _, record = run(tmp_path / "x", "kill -9 $$")
    assert (record.exit_code, record.signal) == (None, signal.SIGKILL)


def test_output_is_shown_while_the_script_runs(tmp_path: Path) -> None:
    running = launch(
        tmp_path / "x", "echo now; while [ ! -e go ]; do sleep 0.02; done", working_directory=str(tmp_path)
    )
    seen: list[OutputChunk] = []
    for event in running.events(timeout=20):
        if isinstance(event, OutputChunk):
            seen.append(event)
            (tmp_path / "go").touch()
    assert seen[0].frames == [(1, b"now\n")]


def test_secrets_are_masked(tmp_path: Path) -> None:
    _, record = run(tmp_path / "x", 'echo "it is $CA_PARAM_S."', secrets={"S": "hunter2"})
    assert record.output.merged() == b"it is ******.\n"


def test_a_timeout_asks_and_then_kills_everything(tmp_path: Path) -> None:
    content = f"trap '' TERM; setsid sleep 100 & echo $! > {tmp_path}/stray; sleep 100 & wait; wait"
    _, record = run(tmp_path / "x", content, timeout_seconds=1, grace_seconds=0.3)
    assert (record.reason, record.survivors, record.error_code) == ("timeout", 0, "ExecutionTimeout")
    assert [step.what for step in record.steps] == ["timeout", "asked to end", "killed the group", "verified"]
    assert record.steps[0].process_count == 3
    assert not alive(tmp_path / "stray")


def test_a_script_that_tidies_up_when_asked_is_not_killed(tmp_path: Path) -> None:
    content = "trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    running = launch(tmp_path / "x", content, grace_seconds=20)
    events = []
    for event in running.events(timeout=20):
        events.append(event)
        if isinstance(event, OutputChunk):
            running.stop()
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert (ended.record.reason, ended.record.survivors) == ("stopped", 0)
    assert b"tidied\n" in ended.record.output.merged()
    assert "killed the group" not in [step.what for step in ended.record.steps]


def test_a_stop_ends_the_main_process_alone_when_asked_for(tmp_path: Path) -> None:
    content = f"sleep 100 >/dev/null 2>&1 & echo $! > {tmp_path}/left; echo ready; sleep 100 >/dev/null 2>&1"
    running = launch(tmp_path / "x", content, termination_mode="Process", grace_seconds=0.2)
    events = []
    for event in running.events(timeout=20):
        events.append(event)
        if isinstance(event, OutputChunk):
            running.stop()
    try:
        ended = events[-1]
        assert isinstance(ended, Ended)
        assert (ended.record.reason, ended.record.left_running, ended.record.survivors) == ("stopped", 2, 0)
        assert ended.record.error_info == "the script was stopped on request"
        assert alive(tmp_path / "left")
    finally:
        os.killpg(events[0].pid, signal.SIGKILL)  # type: ignore[union-attr]  # Started comes first


def test_what_holds_the_output_open_does_not_hold_the_result(tmp_path: Path) -> None:
    _, record = run(tmp_path / "x", f"sleep 100 & echo $! > {tmp_path}/left; echo done")
    try:
        assert (record.exit_code, record.output.merged(), record.left_running) == (0, b"done\n", 1)
        assert record.notes == ["1 background process of the script goes on running"]
    finally:
        os.kill(int((tmp_path / "left").read_text(encoding="ascii")), signal.SIGKILL)


def test_a_system_that_lists_no_processes_still_gives_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix_process, "_LIST_PROCESSES", (str(tmp_path / "no-ps"),))
    running = launch(tmp_path / "x", f"sleep 100 & echo $! > {tmp_path}/child; echo ready; wait")
    for event in running.events(timeout=20):
        if isinstance(event, OutputChunk):
            running.stop()
    assert not alive(tmp_path / "child")
    assert isinstance(event, Ended)
    assert event.record.reason == "stopped"
    assert any("does not say which processes are left" in note for note in event.record.notes)


def test_a_script_of_an_agent_that_died_is_interrupted_with_its_output(tmp_path: Path) -> None:
    """What the next agent finds: the claim, the script, and what was saved of its output."""
    launcher = WatchedLauncher(SessionSystem())
    launcher.start()
    folder = tmp_path / "x"
    assert launcher.adopt(tmp_path) is None
    running = launch(folder, "echo before; sleep 100")
    started = next(running.events(timeout=20))
    assert isinstance(started, Started)
    eventually((folder / OUTPUT_FILE).exists)
    adopted = launcher.adopt(folder)
    assert adopted is not None
    adopted.stop()
    [ended] = list(adopted.events())
    assert isinstance(ended, Ended)
    assert (ended.record.reason, ended.record.error_code) == ("supervisor_lost", "ExecutionInterrupted")
    assert ended.record.output.merged() == b"before\n"
    assert launcher.adopt(folder) is not None
    assert not launcher.is_supervised(folder)
    assert launcher.find_unclaimed(running.execution_id, folder) is None
    assert not list(folder.glob("script*"))
    list(running.events(timeout=20))


def test_an_execution_that_was_claimed_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "started.json").write_bytes(b"{}")
    with pytest.raises(NotStarted, match="cannot prepare"):
        launch(tmp_path / "x", "echo never")


@pytest.mark.parametrize("program", ["missing", "with a \0"])
def test_a_program_that_cannot_be_started_is_told(tmp_path: Path, program: str) -> None:
    plan = prepare(script_of("echo"), tmp_path / "x")
    plan.arguments[0] = str(tmp_path / program)
    with pytest.raises(NotStarted, match="could not be started") as refused:
        WatchedLauncher(SessionSystem()).launch(plan)
    assert refused.value.error_code == "ExecutionException"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_can_read_its_script_and_nobody_elses(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    _, record = run(tmp_path / "x", 'id -un; cat "$0"; ls "$(dirname "$0")" 2>&1', username="nobody")
    lines = record.output.merged().decode().splitlines()
    assert lines[0] == "nobody"
    assert 'cat "$0"' in lines[1]
    assert "Permission denied" in lines[-1]


def test_what_a_killed_agent_left_of_a_script_is_ended(tmp_path: Path) -> None:
    """Nobody watches it any more, and a result that says it was interrupted must be true."""
    launcher = WatchedLauncher(SessionSystem())
    running = launch(tmp_path / "x", f"(sleep 100 & echo $! > {tmp_path}/child) & wait; sleep 100")
    started = next(running.events(timeout=20))
    assert isinstance(started, Started)
    wait_for_text(tmp_path / "child")
    adopted = WatchedLauncher(SessionSystem()).adopt(tmp_path / "x")
    assert adopted is not None
    [ended] = list(adopted.events())
    assert isinstance(ended, Ended)
    assert (ended.record.survivors, ended.record.notes) == (0, [])
    assert not alive(tmp_path / "child")
    launcher.close()
    list(running.events(timeout=20))


def test_an_agent_that_ends_takes_its_scripts_along_and_reports_nothing(tmp_path: Path) -> None:
    launcher = WatchedLauncher(SessionSystem())
    script = script_of(f"sleep 100 & echo $! > {tmp_path}/child; wait")
    running = launcher.launch(prepare(script, tmp_path / "x"))
    wait_for_text(tmp_path / "child")
    launcher.leave()
    eventually(lambda: not alive(tmp_path / "child"))
    assert [type(event) for event in running.events(timeout=0.5)] == [Started]
    assert load_exit(str(tmp_path / "x")) is None


def test_a_script_that_ended_as_its_agent_ends_keeps_its_result(tmp_path: Path) -> None:
    """Its output is still waited for then, since what it has left behind holds that open."""
    launcher = WatchedLauncher(SessionSystem())
    content = f"sleep 100 & echo $! > {tmp_path}/left; echo done; exit 3"
    running = launcher.launch(prepare(script_of(content, drain_seconds=20), tmp_path / "x"))
    started = next(running.events(timeout=20))
    assert isinstance(started, Started)
    try:
        eventually(lambda: proc.process(started.pid) is None, 10, "the main process has ended")
        launcher.leave()
        record = load_exit(str(tmp_path / "x"))
        assert record is not None
        assert (record.reason, record.exit_code, record.output.merged()) == ("exited", 3, b"done\n")
        assert alive(tmp_path / "left")
    finally:
        os.kill(int((tmp_path / "left").read_text(encoding="ascii")), signal.SIGKILL)


def test_a_script_that_starts_as_its_agent_ends_ends_with_it(tmp_path: Path) -> None:
    launcher = WatchedLauncher(SessionSystem())
    launcher.leave()
    running = launcher.launch(prepare(script_of(f"exec 3> {tmp_path}/held; sleep 100"), tmp_path / "x"))
    [started] = running.events(timeout=0.5)
    assert isinstance(started, Started)
    eventually(lambda: proc.process(started.pid) is None, 10, "it is gone")
    assert load_exit(str(tmp_path / "x")) is None


def test_what_a_script_left_in_the_background_outlives_its_agent(tmp_path: Path) -> None:
    launcher = WatchedLauncher(SessionSystem())
    content = f"sleep 100 >/dev/null 2>&1 & echo $! > {tmp_path}/left"
    running = launcher.launch(prepare(script_of(content), tmp_path / "x"))
    try:
        [*_, ended] = running.events(timeout=20)
        launcher.leave()
        assert isinstance(ended, Ended)
        assert (ended.record.left_running, alive(tmp_path / "left")) == (1, True)
    finally:
        os.kill(int((tmp_path / "left").read_text(encoding="ascii")), signal.SIGKILL)


def test_a_list_of_processes_in_another_form_still_gives_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix_process, "_LIST_PROCESSES", ("echo", "PID", "TTY"))
    _, record = run(tmp_path / "x", "echo done")
    assert (record.exit_code, record.output.merged()) == (0, b"done\n")
    assert any("in a form of its own" in note for note in record.notes)


def test_a_script_is_not_waited_for_for_ever_when_its_watching_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_values: Any) -> None:
        raise ZeroDivisionError("as a defect would")

    monkeypatch.setattr(watched_script, "judge", fail)
    _, record = run(tmp_path / "x", "echo done")
    assert (record.reason, record.error_code) == ("supervisor_lost", "ExecutionInterrupted")
    assert "ZeroDivisionError: as a defect would" in record.error_info
    assert record.output.merged() == b"done\n"


@pytest.mark.parametrize("left", [b"", b'{"execution_id":', b"null"])
def test_a_start_whose_record_was_damaged_may_have_run(tmp_path: Path, left: bytes) -> None:
    """As by a power cut; to say that it never ran would have somebody run it twice."""
    execution_id = new_execution_id()
    (tmp_path / execution_id).mkdir()
    (tmp_path / execution_id / "started.json").write_bytes(left)
    adopted = WatchedLauncher(SessionSystem()).adopt(tmp_path / execution_id)
    assert adopted is not None
    [ended] = list(adopted.events())
    assert isinstance(ended, Ended)
    assert (ended.record.execution_id, ended.record.error_code) == (execution_id, "ExecutionInterrupted")


def test_a_folder_without_a_start_never_ran(tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"echo")
    assert WatchedLauncher(SessionSystem()).adopt(tmp_path) is None


def test_a_full_disk_costs_no_output_of_an_interrupted_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "x"
    running = launch(folder, "echo before; sleep 100")
    eventually((folder / OUTPUT_FILE).exists)
    with monkeypatch.context() as patch:
        patch.setattr(watched_launcher, "replace_file", refuse_to_write)
        told = [adopted_record(folder) for _ in range(2)]
    list(running.events(timeout=20))
    assert [one.output.merged() for one in told] == [b"before\n", b"before\n"]
    assert any("could not be written" in note for note in told[0].notes)


def refuse_to_write(path: str, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_a_script_that_nobody_can_watch_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    plan = prepare(script_of(f"exec 3> {tmp_path}/held; sleep 100"), tmp_path / "x")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        # Short of threads is short of processes.
        patch.setattr(posix_process, "_LIST_PROCESSES", (str(tmp_path / "no-ps"),))
        with pytest.raises(NotStarted, match="no thread") as refused:
            WatchedLauncher(SessionSystem()).launch(plan)
    assert refused.value.error_code == "ExecutionInterrupted"
    eventually(lambda: not proc.processes_using(tmp_path), what="the script and its sleep have ended")
