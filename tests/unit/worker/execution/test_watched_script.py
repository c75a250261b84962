"""One script that threads of the agent watch: its events, and its end as the agent ends."""

from pathlib import Path

from unit.worker.execution.watching import alive, launch, script_of

from cloud_assistant.worker.execution.events import Started
from cloud_assistant.worker.execution.output_chunk import OutputChunk
from cloud_assistant.worker.execution.posix_process import SessionSystem
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import (
    load_exit,
    load_output,
)
from cloud_assistant.worker.execution.watched_launcher import WatchedLauncher
from harness import proc
from harness.eventually import eventually


def saved_bytes(folder: Path) -> int:
    found = load_output(str(folder))
    return found.total_bytes if found else 0


def test_a_script_that_is_being_ended_as_its_agent_ends_is_ended_at_once_and_told(tmp_path: Path) -> None:
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
