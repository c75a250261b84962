"""Windows' launcher over ordinary processes: only the start and the job object are replaced."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.worker.execution import windows_launcher, windows_process
from cloud_assistant.worker.execution.events import Ended, Event, Started
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.output_chunk import OutputChunk
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.record import ExitRecord, load_exit
from cloud_assistant.worker.execution.script import Script
from cloud_assistant.worker.execution.windows_launcher import WindowsLauncher
from cloud_assistant.worker.execution.windows_prepare import prepare_on_windows
from cloud_assistant.worker.execution.windows_process import GroupedProcess, start_in_group
from harness import proc


class SessionJob:
    """A job made of a session: enough to count and to kill."""

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self.is_released = self.is_closed = False

    def process_count(self) -> int:
        return sum(1 for info in proc.all_processes() if info.session_id == self._session_id)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._session_id, signal.SIGKILL)

    def release(self) -> None:
        self.is_released = True

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SessionJob]]:
    started: list[SessionJob] = []

    def start(plan: Plan) -> GroupedProcess:
        process = subprocess.Popen(
            plan.arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        started.append(SessionJob(process.pid))
        return GroupedProcess(process, started[-1])

    monkeypatch.setattr(windows_launcher, "start_in_group", start)
    yield started
    for job in started:
        job.kill()


def script_of(**changes: Any) -> Script:
    values: dict[str, Any] = {
        "execution_id": "x-1",
        "instance_id": "i-1",
        "invoke_id": "t-1",
        "command_id": "c-1",
        "command_name": "n",
        "script_type": "RunBatScript",
        "content": b"",
        **changes,
    }
    return Script(**values)


def run(folder: Path, shell: str, **changes: Any) -> tuple[list[Event], ExitRecord]:
    script = script_of(launcher=f"/bin/sh -c '{shell}'", **changes)
    events = list(WindowsLauncher().launch(prepare_on_windows(script, folder, {})).events(timeout=20))
    assert isinstance(events[-1], Ended)
    return events, events[-1].record


def test_a_script_runs_and_its_record_is_written(tmp_path: Path, jobs: list[SessionJob]) -> None:
    events, record = run(tmp_path / "x", "echo out; echo err >&2; exit 3")
    assert isinstance(events[0], Started)
    assert (record.reason, record.exit_code, record.error_code) == ("exited", 3, "ExitCodeNonzero")
    assert (record.output.of_stream(1), record.output.of_stream(2)) == (b"out\n", b"err\n")
    on_disk = load_exit(str(tmp_path / "x"))
    assert on_disk is not None
    assert on_disk.exit_code == 3
    assert not list((tmp_path / "x").glob("script*"))
    assert (jobs[0].is_released, jobs[0].is_closed) == (True, True)


def test_output_is_shown_while_the_script_runs(tmp_path: Path, jobs: list[SessionJob]) -> None:
    events, record = run(tmp_path / "x", "echo now; sleep 0.4; echo later")
    chunks = [event for event in events if isinstance(event, OutputChunk)]
    assert chunks[0].frames == [(1, b"now\n")]
    assert record.output.merged() == b"now\nlater\n"


def test_a_timeout_ends_everything_in_the_job(tmp_path: Path, jobs: list[SessionJob]) -> None:
    _, record = run(tmp_path / "x", "sleep 100 & sleep 100", timeout_seconds=0.2)
    assert (record.reason, record.survivors, record.exit_code) == ("timeout", 0, None)
    assert [step.what for step in record.steps] == ["timeout", "verified"]
    assert record.steps[0].process_count == 3
    assert jobs[0].process_count() == 0


def test_a_stop_ends_the_main_process_alone_when_asked_for(tmp_path: Path, jobs: list[SessionJob]) -> None:
    script = script_of(launcher="/bin/sh -c 'sleep 100 & sleep 100'", termination_mode="Process")
    running = WindowsLauncher().launch(prepare_on_windows(script, tmp_path / "x", {}))
    assert isinstance(next(running.events()), Started)
    running.stop()
    [ended] = list(running.events(timeout=20))
    assert isinstance(ended, Ended)
    assert (ended.record.reason, ended.record.left_running) == ("stopped", 2)
    assert (running.fileno(), list(running.events())) == (-1, [])


def test_a_script_of_an_agent_that_died_is_interrupted(tmp_path: Path, jobs: list[SessionJob]) -> None:
    launcher = WindowsLauncher()
    launcher.start()
    assert launcher.adopt(tmp_path) is None
    plan = prepare_on_windows(script_of(launcher="/bin/sh -c true"), tmp_path / "x", {})
    list(launcher.launch(plan).events(timeout=20))
    (tmp_path / "x" / "exit.json").unlink()
    adopted = launcher.adopt(tmp_path / "x")
    assert adopted is not None
    adopted.stop()
    [ended] = list(adopted.events())
    assert isinstance(ended, Ended)
    assert (ended.record.reason, ended.record.error_code) == ("supervisor_lost", "ExecutionInterrupted")
    again = launcher.adopt(tmp_path / "x")
    assert again is not None
    with pytest.raises(NotStarted, match="claim"):
        launcher.launch(plan)
    launcher.close()


def test_what_cannot_run_on_windows_is_refused(tmp_path: Path) -> None:
    for changes, code in (
        ({"script_type": "RunShellScript"}, "CommandNotApplicable"),
        ({"username": "ann"}, "ExecutionException"),
        ({"working_directory": str(tmp_path / "no")}, "DirectoryNotExists"),
        ({"launcher": '"open'}, "ExecutionException"),
        ({"parameters": {"a": "\0"}}, "ExecutionException"),
    ):
        with pytest.raises(NotStarted) as refused:
            prepare_on_windows(script_of(**changes), tmp_path / "x", {})
        assert refused.value.error_code == code
    assert not (tmp_path / "x").exists()


def test_the_plan_of_a_batch_file(tmp_path: Path) -> None:
    inherited = {"SystemRoot": r"C:\Windows", "USERPROFILE": r"C:\Users\ann"}
    plan = prepare_on_windows(script_of(content=b"ver\n"), tmp_path / "x", inherited)
    assert plan.arguments[0] == r"C:\Windows\System32\cmd.exe"
    assert Path(plan.script_path).read_bytes() == b"@echo off\r\nver\r\n"
    assert plan.script_path.endswith("script.bat")
    assert plan.working_directory == r"C:\Users\ann"
    with pytest.raises(NotStarted, match="not started twice"):
        prepare_on_windows(script_of(), tmp_path / "x", inherited)


def test_a_program_that_does_not_start_leaves_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class EmptyJob:
        def take(self, handle: int) -> None:
            raise AssertionError("there is no process")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(windows_process, "WindowsGroup", EmptyJob)

    def missing(*arguments: object, **options: object) -> None:
        assert options["creationflags"] == 0x8000004
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(subprocess, "Popen", missing)
    plan = prepare_on_windows(script_of(), tmp_path / "x", {"USERPROFILE": "/does/not/exist"})
    with pytest.raises(NotStarted) as refused:
        start_in_group(plan)
    assert (refused.value.error_code, closed) == ("DirectoryNotExists", [True])
