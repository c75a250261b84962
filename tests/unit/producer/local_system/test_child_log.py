"""The log of a child program."""

import os
from pathlib import Path

from cloud_assistant.producer.local_system.child_log import ChildLog
from harness.disk import fill, small_disk


def run(log: ChildLog, text: bytes) -> None:
    descriptor = log.open()
    os.write(descriptor, text)
    os.close(descriptor)


def test_only_what_the_present_run_wrote_counts(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "log/agent.log")
    run(log, b"agent ready\n")
    run(log, b"starting\n\nsecond line\n")
    assert log.this_run() == "starting\n\nsecond line\n"
    assert log.last_lines(5) == ["starting", "second line"]
    assert log.path.stat().st_mode & 0o077 == 0


def test_a_long_log_is_moved_aside_while_the_child_goes_on_writing(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "agent.log", limit_bytes=100)
    descriptor = log.open()
    os.write(descriptor, b"x" * 101)
    log.keep_bounded()
    os.write(descriptor, b"and on\n")
    os.close(descriptor)
    assert log.path.read_bytes() == b"and on\n"
    assert (tmp_path / "agent.log.1").read_bytes() == b"x" * 101
    assert log.this_run() == "and on\n"


def test_a_short_log_stays(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "agent.log", limit_bytes=100)
    run(log, b"x" * 100)
    log.keep_bounded()
    assert [path.name for path in tmp_path.iterdir()] == ["agent.log"]


def test_of_a_huge_run_only_the_end_is_read(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "agent.log")
    run(log, b"x" * 200_000 + b"\nthe end\n")
    assert len(log.this_run()) <= 65536
    assert log.last_lines(1) == ["the end"]


def test_a_log_that_somebody_removed_is_an_empty_one(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "agent.log")
    run(log, b"agent ready\n")
    log.path.unlink()
    log.keep_bounded()
    assert log.this_run() == ""


def test_a_long_log_on_a_full_disk_is_cut_without_a_copy(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 65536) as disk:
        log = ChildLog(disk / "agent.log", limit_bytes=10_000)
        descriptor = log.open()
        os.write(descriptor, b"x" * 40_000)
        fill(disk)
        log.keep_bounded()
        os.write(descriptor, b"and on\n")
        os.close(descriptor)
        assert log.path.read_bytes() == b"and on\n"
        assert sorted(path.name for path in disk.iterdir()) == ["agent.log", "ballast"]


def test_what_was_written_since_somebody_emptied_the_file_is_shown(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "sample.log")
    log.path.write_text("of an earlier run, and long\n")
    os.close(log.open())
    log.path.write_text("ready\n")
    assert log.this_run() == "ready\n"
