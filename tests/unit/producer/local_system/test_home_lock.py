"""One `assist up` per home."""

import fcntl
import os
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.producer.local_system.home_lock import HomeLock, UpNote, read_note


def test_a_second_holder_is_told_who_runs_and_where(tmp_path: Path) -> None:
    with HomeLock(tmp_path) as lock:
        lock.write(UpNote(pid=4711, redis="redis://127.0.0.1:6399/0", gateway="http://127.0.0.1:8177"))
        with pytest.raises(Refused) as refused, HomeLock(tmp_path):
            pass
    for fact in (str(tmp_path), "pid 4711", "redis://127.0.0.1:6399/0", "http://127.0.0.1:8177", "kill 4711"):
        assert fact in str(refused.value)


def test_a_second_holder_is_refused_before_the_first_has_said_anything(tmp_path: Path) -> None:
    with HomeLock(tmp_path), pytest.raises(Refused, match="just starting"), HomeLock(tmp_path):
        pass


def test_after_a_clean_end_nothing_is_left_and_the_lock_is_free(tmp_path: Path) -> None:
    with HomeLock(tmp_path) as lock:
        lock.write(UpNote(pid=os.getpid()))
    assert list(tmp_path.iterdir()) == []
    with HomeLock(tmp_path) as lock:
        assert lock.left_behind is None


def test_a_lock_that_was_removed_before_it_was_taken_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = fcntl.flock
    removals = [tmp_path / "up.lock"]

    def late(descriptor: int, how: int) -> None:
        # Whoever had it has ended between our opening and this.
        if removals:
            removals.pop().unlink()
        take(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with HomeLock(tmp_path), pytest.raises(Refused), HomeLock(tmp_path):
        pass


def test_the_lock_is_removed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = os.close
    was_there = []

    def noted(descriptor: int) -> None:
        was_there.append((tmp_path / "up.lock").exists())
        close(descriptor)

    with HomeLock(tmp_path):
        monkeypatch.setattr(os, "close", noted)
    monkeypatch.undo()
    # From here on it may be somebody else's.
    assert was_there == [False]


def test_what_a_killed_run_said_is_there_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "up.lock").touch()
    (tmp_path / "up.json").write_bytes(b'{"pid": 4711, "children": [{"name": "Redis", "pid": 1, "identity": "x"}]}')
    with HomeLock(tmp_path) as lock:
        assert lock.left_behind is not None
        assert [child.name for child in lock.left_behind.children] == ["Redis"]


def test_an_unreadable_note_is_no_note(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text("{")
    assert read_note(tmp_path) is None
