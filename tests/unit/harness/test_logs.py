from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import logs


@pytest.fixture(autouse=True)
def _no_logs_of_others() -> Iterator[None]:
    logs.forget_all()
    yield
    logs.forget_all()


def test_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert logs.tail_of(log, lines=2) == "line 98\nline 99"


def test_a_log_that_was_never_written_has_an_empty_tail(tmp_path: Path) -> None:
    assert logs.tail_of(tmp_path / "none.log") == ""


def test_bytes_that_are_no_text_do_not_hide_the_log(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    log.write_bytes(b"before \xff after\n")
    assert logs.tail_of(log) == "before � after"


def test_registered_logs_with_content_are_shown_with_name_and_path(tmp_path: Path) -> None:
    full, empty = tmp_path / "full.log", tmp_path / "empty.log"
    full.write_text("hello\n")
    empty.touch()
    logs.register("agent i-one", full)
    logs.register("beat", empty)
    assert logs.tails() == [(f"agent i-one: {full}", "hello")]
