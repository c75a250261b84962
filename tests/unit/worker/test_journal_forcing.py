"""What is told to be on disk is there, whatever else is done to the journal at that moment."""

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.files.private_file import put_in_place
from cloud_assistant.worker import journal as journal_module
from cloud_assistant.worker.journal import Journal

A, B, C = (f"t-{letter * 8}.0@i-one" for letter in "abc")
LATER_MS = now_ms() + 3_600_000


def test_each_start_is_forced_to_disk_however_many_were_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[bytes] = []
    path = tmp_path / "journal"
    monkeypatch.setattr(journal_module, "_datasync", lambda fd: forced.append(path.read_bytes()))
    journal = Journal(path, fsync=True)

    for count, name in enumerate((A, B, C), 1):
        assert journal.record_start(name, LATER_MS)
        assert len(forced) == count
        assert name.encode() in forced[-1]


def test_what_could_not_be_forced_to_disk_counts_for_nobody_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal", fsync=True)
    answers: list[OSError | None] = [OSError(errno.EIO, os.strerror(errno.EIO)), None]

    def force(_: int) -> None:
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(journal_module, "_datasync", force)
    journal.begin_start(A, LATER_MS)
    with pytest.raises(OSError, match="Input/output error"):
        journal.confirm_starts()
    journal.confirm_starts()
    assert answers == []


def close(fd: int | None) -> None:
    assert fd is not None
    os.close(fd)


@pytest.mark.parametrize(
    "force",
    [lambda journal: journal.confirm_starts(), lambda journal: close(journal.to_be_forced())],
    ids=["here", "elsewhere"],
)
def test_who_forces_it_to_disk_while_it_is_written_anew_waits_for_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: Callable[[Journal], None]
) -> None:
    journal = Journal(tmp_path / "journal", fsync=True)
    journal.begin_start(A, LATER_MS)
    is_between, goes_on = threading.Event(), threading.Event()

    def put_slowly(fresh: Path, path: Path) -> None:
        is_between.set()
        assert goes_on.wait(10)
        put_in_place(fresh, path)

    monkeypatch.setattr(journal_module, "put_in_place", put_slowly)
    journal._room_bytes = 0
    with ThreadPoolExecutor(2) as pool:
        written = pool.submit(journal.begin_start, B, LATER_MS)
        assert is_between.wait(10)
        forced = pool.submit(force, journal)
        # The other one has long begun by then; who does not wait finds no file.
        threading.Timer(0.1, goes_on.set).start()
        forced.result(10)
        assert written.result(10)
