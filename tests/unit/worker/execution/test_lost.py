"""What is settled for a supervisor that is gone, where the disk does not take it."""

import os
from pathlib import Path

import pytest

from cloud_assistant.worker.execution import lost
from cloud_assistant.worker.execution.lost import claim_of_living, end_remains, is_supervised, settle_lost
from cloud_assistant.worker.execution.output.frame_log import STDOUT
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.proc_table import boot_id, start_ticks_of
from cloud_assistant.worker.execution.record import OUTPUT_FILE, STARTED_FILE, StartRecord, load_exit
from harness.descriptors import no_descriptor_left


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of an execution whose supervisor was killed: nobody has this number."""
    start = StartRecord(
        execution_id="x-1",
        boot_id=boot_id(),
        supervisor_pid=2**22 + 1,
        supervisor_start_ticks=1 << 60,
        cgroup="",
        started_ms=1,
    )
    kept = KeptOutput(1000)
    kept.feed(STDOUT, b"before\n")
    (tmp_path / STARTED_FILE).write_bytes(start.to_bytes())
    (tmp_path / OUTPUT_FILE).write_bytes(kept.to_bytes())
    (tmp_path / "script.sh").touch()
    return tmp_path


def test_a_record_replaces_what_was_saved_of_the_output(folder: Path) -> None:
    assert settle_lost(folder, "x-1").output.merged() == b"before\n"
    assert [path.name for path in folder.iterdir() if path.name != STARTED_FILE] == ["exit.json"]
    on_disk = load_exit(str(folder))
    assert on_disk is not None
    assert on_disk.output.merged() == b"before\n"


def test_a_full_disk_costs_no_output(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lost, "replace_file", refuse)
    told = [settle_lost(folder, "x-1") for _ in range(2)]
    assert [one.output.merged() for one in told] == [b"before\n", b"before\n"]
    assert all("No space left" in one.notes[-1] for one in told)


def test_a_supervisor_is_not_said_to_be_gone_for_want_of_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its script would be killed, and reported as interrupted."""
    boot = boot_id()
    living = StartRecord(
        execution_id="x-1",
        boot_id=boot,
        supervisor_pid=os.getpid(),
        supervisor_start_ticks=start_ticks_of(os.getpid()),
        cgroup="",
        started_ms=1,
    )
    # Another thread lets go of a descriptor, and takes it again.
    monkeypatch.setattr(lost, "boot_id", lambda: boot)
    assert is_supervised(living)
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        is_supervised(living)


def test_nothing_is_said_to_have_ended_for_want_of_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    own = StartRecord(
        execution_id="x-1",
        boot_id=boot_id(),
        supervisor_pid=1,
        supervisor_start_ticks=1,
        cgroup="",
        started_ms=1,
    )
    # Another thread lets go of a descriptor, and takes it again.
    monkeypatch.setattr(os, "listdir", lambda _: [str(os.getpid())])
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        end_remains(own)


def test_a_script_that_lives_is_not_overlooked_for_want_of_a_descriptor() -> None:
    """It would be told as one that was interrupted."""
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        claim_of_living("x-1")
    assert claim_of_living("x-1") is None


def test_what_cannot_be_removed_costs_no_result(folder: Path) -> None:
    (folder / "script.d").mkdir()
    assert settle_lost(folder, "x-1").error_code == "ExecutionInterrupted"
