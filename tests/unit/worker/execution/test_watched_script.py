"""One script that threads of the agent watch: its events, and its end as the agent ends."""

from pathlib import Path

from unit.worker.execution.watching import launch

from cloud_assistant.worker.execution.events import Started
from cloud_assistant.worker.execution.output_chunk import OutputChunk
from cloud_assistant.worker.execution.record import (
    load_output,
)
from harness.eventually import eventually


def saved_bytes(folder: Path) -> int:
    found = load_output(str(folder))
    return found.total_bytes if found else 0


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
