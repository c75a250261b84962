"""A log has an end, in size and in time."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cloud_assistant.broker_config.programs.program_log import BoundedLogFile

DAY_SECONDS = 86_400


def log_file(path: Path, *, limit_bytes: int = 1000, count: int = 5, days: float = 10) -> BoundedLogFile:
    handler = BoundedLogFile(path, limit_bytes=limit_bytes, count=count, days=days)
    handler.setFormatter(_Lines())
    return handler


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = f"{logging.Formatter().formatTime(record, '%Y-%m-%dT%H:%M:%S')}+00:00"
        return json.dumps({"time": moment, "message": record.getMessage()})


def write(handler: BoundedLogFile, text: str, at_seconds: float) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, text, None, None)
    record.created = at_seconds
    handler.emit(record)


def test_its_files_stay_under_their_limits_whatever_is_written(tmp_path: Path) -> None:
    handler = log_file(tmp_path / "a.log")
    for number in range(1000):
        write(handler, f"line {number} " + "x" * 50, time.time() + number)
    handler.close()

    files = list(tmp_path.iterdir())
    assert len(files) == 5
    assert sum(path.stat().st_size for path in files) <= 5000
    assert "line 999" in (tmp_path / "a.log").read_text(encoding="utf-8")


def test_a_small_log_is_closed_when_it_covers_its_share_of_the_time(tmp_path: Path) -> None:
    handler = log_file(tmp_path / "a.log", limit_bytes=10**6)
    begun = time.time()
    write(handler, "first", begun)
    write(handler, "second", begun + 1.9 * DAY_SECONDS)
    write(handler, "third", begun + 2.1 * DAY_SECONDS)
    handler.close()

    assert "third" in (tmp_path / "a.log").read_text(encoding="utf-8")
    assert "second" in (tmp_path / "a.log.1").read_text(encoding="utf-8")


def test_files_older_than_the_limit_are_removed(tmp_path: Path) -> None:
    now = time.time()
    for number, age_days in ((1, 3), (2, 9), (3, 11)):
        path = tmp_path / f"a.log.{number}"
        path.write_text("old\n", encoding="utf-8")
        os.utime(path, (now - age_days * DAY_SECONDS,) * 2)
    handler = log_file(tmp_path / "a.log")
    write(handler, "now", now)
    handler.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]


def test_what_others_wrote_makes_no_line_of_its_own_and_steers_no_terminal() -> None:
    program = (
        "import sys; from cloud_assistant.broker_config.programs.program_log import logger, set_up; set_up(); "
        "logger('x').info('asked to stop execution=%s', sys.argv[1])"
    )
    hostile = "x\n2026-01-01T00:00:00.000Z ERROR forged \x1b[31m\u2028\x9b\r网页"
    argv = [sys.executable, "-c", program, hostile]
    told = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True).stderr
    assert told.count("\n") == 1
    seen = r"asked to stop execution=x\n2026-01-01T00:00:00.000Z ERROR forged \x1b[31m\u2028\x9b\r网页"
    assert told.endswith(f" INFO {seen}\n")


def test_neither_a_traceback_nor_the_log_file_steers_a_terminal(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from cloud_assistant.broker_config.programs.program_log import logger, set_up\n"
        "set_up(file=Path(sys.argv[1]), file_limit_bytes=99_999)\n"
        "try: raise ValueError(sys.argv[2])\n"
        "except ValueError: logger('x').exception('lane failed')"
    )
    file = tmp_path / "log"
    argv = [sys.executable, "-c", program, str(file), "\x1b[31m\x9b\rforged"]
    told = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True).stderr
    assert told.endswith("ValueError: \\x1b[31m\\x9b\\rforged\n")
    # Since Python 3.13 the line of the program follows.
    assert told.splitlines()[1:3] == ["Traceback (most recent call last):", '  File "<string>", line 4, in <module>']
    assert all(line.isprintable() for line in told.splitlines())
    written = file.read_text(encoding="utf-8")
    assert written.removesuffix("\n").isprintable()
    assert json.loads(written)["exception"].endswith("ValueError: \x1b[31m\x9b\rforged")


def test_a_file_that_the_system_does_not_move_is_gone_on_in_and_costs_no_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, while somebody has it open."""
    handler = log_file(tmp_path / "a.log")
    move = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "a.log":
            raise PermissionError(13, "in use")
        return move(self, target)

    now = time.time()
    for number in range(30):
        write(handler, f"line {number} " + "x" * 50, now)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        for number in range(30, 60):
            write(handler, f"line {number} " + "x" * 50, now + 20 * number)
    for number in range(60, 65):
        write(handler, f"line {number} " + "x" * 50, now + 2000)
    handler.close()

    kept = "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    assert [number for number in range(65) if f"line {number} " not in kept] == []
    assert "line 0 " not in (tmp_path / "a.log.1").read_text(encoding="utf-8")
    assert "line 59 " in (tmp_path / "a.log.1").read_text(encoding="utf-8")
