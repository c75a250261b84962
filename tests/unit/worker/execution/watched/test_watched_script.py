"""One script that threads of the agent watch: its events, and its end as the agent ends."""

import io
import os
import signal
import threading
import time
from pathlib import Path
from typing import IO

import pytest
from unit.worker.execution.watching import alive, launch, run, script_of

from cloud_assistant.worker.execution.events import Ended, Started
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import (
    load_exit,
    load_output,
)
from cloud_assistant.worker.execution.watched import watched_launcher
from cloud_assistant.worker.execution.watched.posix_process import SessionSystem
from cloud_assistant.worker.execution.watched.process_group import GroupedProcess
from cloud_assistant.worker.execution.watched.watched_launcher import WatchedLauncher
from harness import proc
from harness.eventually import eventually


def saved_bytes(folder: Path) -> int:
    found = load_output(str(folder))
    return found.total_bytes if found else 0


class SlowPipe(io.FileIO):
    """Of an agent that has much else to do."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        threading.Event().wait(0.1)
        return data


def slow(pipe: IO[bytes] | None) -> SlowPipe:
    assert pipe is not None
    with pipe:
        return SlowPipe(os.dup(pipe.fileno()))


class BusySystem(SessionSystem):
    """A system whose agents come to read late."""

    def start(self, plan: Plan) -> GroupedProcess:
        process, group = super().start(plan)
        process.stdout, process.stderr = slow(process.stdout), slow(process.stderr)
        return GroupedProcess(process, group)


def test_output_is_read_to_its_end_though_background_processes_are_not_waited_for(tmp_path: Path) -> None:
    content = f"sleep 100 & echo $! > {tmp_path}/left; echo out; seq 20000 >&2"
    plan = prepare(script_of(content, drain_seconds=0, output_limit_bytes=1 << 20), tmp_path / "x")
    *_, ended = WatchedLauncher(BusySystem()).launch(plan).events(timeout=20)
    os.kill(int((tmp_path / "left").read_text(encoding="ascii")), signal.SIGKILL)
    assert isinstance(ended, Ended)
    assert ended.record.output.of_stream(1) == b"out\n"
    assert ended.record.output.of_stream(2).endswith(b"\n20000\n")


def test_what_could_have_become_a_secret_is_kept_though_its_stream_stays_open(tmp_path: Path) -> None:
    content = f"sleep 100 & echo $! > {tmp_path}/left; printf 'a hun'"
    _, record = run(tmp_path / "x", content, secrets={"S": "hunter2"})
    os.kill(int((tmp_path / "left").read_text(encoding="ascii")), signal.SIGKILL)
    assert record.output.merged() == b"a hun"


def test_times_stay_in_order_when_the_clock_is_set_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = launch(tmp_path / "x", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_seconds=0.1)
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns - 3600 * 1_000_000_000)
    for event in running.events(timeout=20):
        if isinstance(event, OutputChunk):
            running.stop()
    assert isinstance(event, Ended)
    times = [event.record.started_ms, *(step.at_ms for step in event.record.steps), event.record.finished_ms]
    assert times == sorted(times)
    assert times[-1] - times[0] < 20_000


@pytest.mark.parametrize(
    ("trap", "steps"),
    [
        ("", ["stop requested", "asked to end", "verified"]),
        ("trap '' TERM; ", ["stop requested", "asked to end", "killed the main process", "verified"]),
    ],
)
def test_the_main_process_alone_is_asked_and_then_killed(tmp_path: Path, trap: str, steps: list[str]) -> None:
    content = f"{trap}echo ready; while :; do sleep 0.02; done"
    running = launch(tmp_path / "x", content, termination_mode="Process", grace_seconds=0.5)
    for event in running.events(timeout=20):
        if isinstance(event, OutputChunk):
            running.stop()
    assert isinstance(event, Ended)
    assert [step.what for step in event.record.steps] == steps
    assert event.record.survivors == 0


def test_what_is_written_after_the_end_is_not_in_the_result(tmp_path: Path) -> None:
    later = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo later; touch {tmp_path}/written"
    _, record = run(tmp_path / "x", f"echo done; ({later}) &")
    (tmp_path / "go").touch()
    eventually((tmp_path / "written").exists)
    eventually(lambda: not any(one.name == "script-output" for one in threading.enumerate()), 10, "all is read")
    assert record.output.merged() == b"done\n"


def test_nothing_is_left_in_the_agent_however_many_scripts_it_watches(tmp_path: Path) -> None:
    def held() -> tuple[int, int, int]:
        return (
            len(list(Path("/proc/self/fd").iterdir())),
            threading.active_count(),
            len(proc.descendants_of(os.getpid())),
        )

    run(tmp_path / "first", "echo")
    before = held()
    for number in range(5):
        run(tmp_path / str(number), "echo; exit 3")
        list(launch(tmp_path / f"late-{number}", "sleep 100", timeout_seconds=0.1).events(timeout=20))
    eventually(lambda: held() == before, 10, f"{before} again")


def test_a_script_that_is_being_ended_as_its_agent_ends_is_ended_at_once_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_launcher, "_KEEP_SECONDS", 20)
    launcher = WatchedLauncher(SessionSystem())
    content = f"(trap '' TERM; echo ready; while :; do sleep 0.05; done) & echo $! > {tmp_path}/child; wait"
    running = launcher.launch(prepare(script_of(content, grace_seconds=100), tmp_path / "x"))
    started = next(running.events(timeout=20))
    assert isinstance(started, Started)
    for event in running.events(timeout=20):
        if isinstance(event, OutputChunk):
            break
    running.stop()
    eventually(lambda: proc.process(started.pid) is None, 10, "the main process has ended as it was asked to")
    launcher.leave()
    assert not alive(tmp_path / "child")
    record = load_exit(str(tmp_path / "x"))
    assert record is not None
    assert (record.reason, record.survivors) == ("stopped", 0)


def test_events_that_nobody_takes_do_not_pile_up(tmp_path: Path) -> None:
    """Redis hangs, and so does whoever shows the output; the newest is shown when he is back, and the gap counted."""
    running = launch(tmp_path / "x", f"while [ ! -e {tmp_path}/go ]; do echo line; sleep 0.01; done")
    assert isinstance(next(running.events(timeout=20)), Started)
    # Half a second apart each: far more than what is shown at a time.
    eventually(lambda: saved_bytes(tmp_path / "x"), 10)
    first_bytes = saved_bytes(tmp_path / "x")
    eventually(lambda: saved_bytes(tmp_path / "x") > 3 * first_bytes, 10)
    waiting = list(running.events(timeout=0))
    (tmp_path / "go").touch()
    assert [type(event) for event in waiting] == [OutputChunk]
    list(running.events(timeout=20))
