from pathlib import Path

import pytest

from cloud_assistant.worker.execution.output.frame_log import STDOUT
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.record import (
    ExitRecord,
    StartRecord,
    Step,
    load_exit,
    load_output,
    load_start,
    replace_file,
)


def record_with_output(data: bytes) -> ExitRecord:
    output = KeptOutput(100)
    output.feed(STDOUT, data)
    output.finish()
    return ExitRecord(
        execution_id="x-1",
        reason="timeout",
        started_ms=1,
        finished_ms=2,
        output=output,
        pid=7,
        signal=9,
        error_code="ExecutionTimeout",
        error_info="名",
        survivors=1,
        left_running=2,
        steps=[Step("timeout", 1, 3)],
        notes=["n"],
    )


def test_a_record_survives_being_written_down() -> None:
    record = record_with_output(b"a\0\xff")
    again = ExitRecord.from_bytes(record.to_bytes())
    assert again.output.merged() == b"a\0\xff"
    again.output = record.output
    assert again == record
    assert again.steps[0].what == "timeout"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"version": 1}', b'{"version": 2}', b"\xff"])
def test_a_damaged_record_is_refused_and_counts_as_none_on_disk(tmp_path: Path, damage: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json and ours
        ExitRecord.from_bytes(damage)
    for name in ("exit.json", "started.json", "output.bin"):
        (tmp_path / name).write_bytes(damage)
    assert load_exit(str(tmp_path)) is None
    assert load_start(str(tmp_path)) is None
    assert load_output(str(tmp_path)) is None


def test_files_that_are_not_there_count_as_none(tmp_path: Path) -> None:
    assert load_exit(str(tmp_path / "no")) is None
    assert load_start(str(tmp_path)) is None
    assert load_output(str(tmp_path)) is None


def test_a_start_survives_being_written_down(tmp_path: Path) -> None:
    start = StartRecord(
        execution_id="x", boot_id="b", supervisor_pid=1, supervisor_start_ticks=2, cgroup="/c", started_ms=3
    )
    (tmp_path / "started.json").write_bytes(start.to_bytes())
    assert load_start(str(tmp_path)) == start


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    replace_file(str(path), b"one")
    replace_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["exit.json"]


def test_what_a_killed_writer_left_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / "exit.json.new").write_bytes(b"half")
    replace_file(str(tmp_path / "exit.json"), b"whole")
    assert (tmp_path / "exit.json").read_bytes() == b"whole"


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "exit.json.new").symlink_to(victim)
    replace_file(str(tmp_path / "exit.json"), b"whole")
    assert victim.read_bytes() == b"precious"
