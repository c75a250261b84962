import errno
import os
import threading
from pathlib import Path

import pytest

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.messages import Envelope
from cloud_assistant.broker_config.timed.boot_bound import BOOT_FIRING_MS, NEVER_MS, NEXT_BOOT_FIRING_MS
from cloud_assistant.worker import journal as journal_module
from cloud_assistant.worker.boot.boot_memory import BOOT_REMEMBERED_MS, boot_name
from cloud_assistant.worker.journal import Journal

LATER_MS = now_ms() + 3_600_000
A, B, C = "t-aaaaaaaa.0@i-one", "t-bbbbbbbb.0@i-one", "t-cccccccc.0@i-one"


def test_a_start_is_recorded_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", fsync=True)

    assert journal.record_start(A, LATER_MS)
    assert not journal.record_start(A, LATER_MS)
    assert journal.knows(A)
    assert not journal.knows(B)


def test_a_new_process_knows_what_the_old_one_started(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", fsync=True).record_start(A, LATER_MS)

    assert Journal(tmp_path / "journal", fsync=True).knows(A)


def test_a_line_cut_short_by_a_power_failure_is_ignored_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, fsync=True)
    journal.record_start(A, LATER_MS)
    journal.record_start(B, LATER_MS)
    content = path.read_bytes()
    cut = content.index(b"t-bbbbbbbb") + 14
    path.write_bytes(content[:cut] + b"\0" * (len(content) - cut))

    again = Journal(path, fsync=True)
    assert again.knows(A)
    assert not again.knows(B)
    again.record_start(B, LATER_MS)
    assert Journal(path, fsync=True).knows(B)


@pytest.mark.parametrize("damage", [b"t-aaXaaaaa", b"\0" * 10], ids=["another letter", "a hole"])
def test_a_damaged_line_hides_no_other_counts_for_nothing_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, fsync=False)
    journal.record_start(A, LATER_MS)
    journal.record_start(B, LATER_MS)
    path.write_bytes(path.read_bytes().replace(b"t-aaaaaaaa", damage))

    again = Journal(path, fsync=False)
    assert not again.knows(A)
    assert not again.knows(A.replace("t-aaa", "t-aaX"))
    assert again.knows(B)
    assert "damaged lines" in caplog.text
    assert "count=1" in caplog.text
    caplog.clear()
    assert Journal(path, fsync=False).knows(B)
    assert caplog.text == ""


def test_what_expired_is_forgotten_and_how_far_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, fsync=False)
    past_ms = now_ms() - 1
    journal.record_start(A, past_ms)
    journal.record_start(B, LATER_MS)
    journal.record_start(C, past_ms - 5)

    again = Journal(path, fsync=False)
    assert [again.knows(one) for one in (A, B, C)] == [False, True, False]
    assert again.forgotten_until_ms == past_ms
    assert Journal(path, fsync=False).forgotten_until_ms == past_ms


def test_how_far_it_has_forgotten_outlives_a_clock_that_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, past_ms = tmp_path / "journal", now_ms() - 1
    Journal(path, fsync=False).record_start(A, past_ms)
    assert not Journal(path, fsync=False).knows(A)
    monkeypatch.setattr(journal_module, "now_ms", lambda: past_ms - 3_600_000)
    for _ in range(2):
        assert Journal(path, fsync=False).forgotten_until_ms == past_ms


def test_what_a_start_of_the_machine_ran_is_forgotten_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is remembered for a year: forgotten under a clock that is far ahead, it would have all refused for so long."""
    path, far_ms = tmp_path / "journal", now_ms() + BOOT_REMEMBERED_MS
    journal = Journal(path, fsync=False)
    for firing_ms, execution in ((BOOT_FIRING_MS, A), (NEXT_BOOT_FIRING_MS, B)):
        envelope = Envelope(
            invoke_id=execution.partition(".")[0],
            firing_ms=firing_ms,
            attempt=1,
            digest="",
            created_ms=1,
            expires_ms=NEVER_MS,
            nonce="",
        )
        journal.record_start(boot_name(envelope, "8a55c2f0-1b1d"), far_ms)
        journal.record_start(execution, far_ms)
    journal.record_start(C, LATER_MS)
    with monkeypatch.context() as ahead:
        ahead.setattr(journal_module, "now_ms", lambda: far_ms + 1)
        assert not Journal(path, fsync=False).knows(A)
    assert Journal(path, fsync=False).forgotten_until_ms == LATER_MS


def test_a_full_file_is_written_anew_with_all_that_must_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_SMALLEST_BYTES", 300)
    path = tmp_path / "journal"
    journal = Journal(path, fsync=False)
    names = [f"t-{number:08d}.0@i-one" for number in range(100)]

    assert all(journal.record_start(name, LATER_MS) for name in names)

    again = Journal(path, fsync=False)
    assert all(again.knows(name) for name in names)


def open_files_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("is_forced", [False, True])
def test_a_start_is_written_into_room_that_the_file_has_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_forced: bool
) -> None:
    """Forcing it to disk then moves no size; and the file is written anew seldom, however much it must remember."""
    monkeypatch.setattr(journal_module, "_SMALLEST_BYTES", 300)
    path = tmp_path / "journal"
    journal = Journal(path, fsync=is_forced)
    fds_count = open_files_count()
    rewrites_count = 0
    for number in range(200):
        before = path.stat()
        assert journal.record_start(f"t-{number:08d}.0@i-one", LATER_MS)
        after = path.stat()
        if after.st_ino == before.st_ino:
            assert after.st_size == before.st_size
        else:
            rewrites_count += 1
    assert 1 <= rewrites_count <= 10
    assert open_files_count() == fds_count
    journal.close()
    journal.close()
    assert open_files_count() == fds_count - 1


def test_many_threads_record_each_start_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", fsync=True)
    results: list[bool] = []

    def record() -> None:
        results.extend(journal.record_start(f"t-{number:08d}.0@i-one", LATER_MS) for number in range(50))

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(results) == 50
    again = Journal(tmp_path / "journal", fsync=True)
    assert all(again.knows(f"t-{number:08d}.0@i-one") for number in range(50))


def test_a_start_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal", fsync=True)

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            journal.record_start(A, LATER_MS)
    assert journal.record_start(A, LATER_MS)


def test_a_line_for_which_there_was_room_in_part_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that writes elsewhere what it is to overwrite, where the line lies across two blocks."""
    journal = Journal(tmp_path / "journal", fsync=False)
    write, answers = os.write, [10]

    def write_in_part(fd: int, data: memoryview) -> int:
        if not answers:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[: answers.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_in_part)
        with pytest.raises(OSError, match="No space"):
            journal.record_start(A, LATER_MS)
    assert not journal.knows(A)
    assert journal.record_start(B, LATER_MS)
    journal.close()

    again = Journal(tmp_path / "journal", fsync=False)
    assert (again.knows(A), again.knows(B)) == (False, True)


def test_a_journal_that_could_not_be_opened_again_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file was renamed, and then no descriptor was left: starts are refused until there is one, and no longer."""
    path = tmp_path / "journal"
    journal = Journal(path, fsync=True)
    open_file, journal._room_bytes = os.open, 0

    def refuse(name: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(name) == path:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return open_file(name, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="Too many open files"):
                journal.record_start(A, LATER_MS)
    assert journal.record_start(A, LATER_MS)
    assert Journal(path, fsync=True).knows(A)


def test_of_a_journal_that_the_disk_does_not_take_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "journal"
    Journal(path, fsync=True).record_start(A, LATER_MS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            Journal(tmp_path / "first", fsync=True)
        goes_on = Journal(path, fsync=True)
        assert goes_on.knows(A)
        assert goes_on.record_start(B, LATER_MS)
        goes_on._room_bytes = 1
        with pytest.raises(OSError, match="No space"):
            goes_on.record_start(C, LATER_MS)

    assert list(tmp_path.iterdir()) == [path]
    assert goes_on.record_start(C, LATER_MS)
    again = Journal(path, fsync=True)
    assert all(again.knows(one) for one in (A, B, C))


def test_on_a_full_disk_it_goes_on_behind_the_last_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    Journal(path, fsync=False).record_start(A, LATER_MS)
    data = path.read_bytes()
    cut_short = b"t-00000009.0@i-with-a-name-that-is-longer-than-any-of-the-others 99"
    path.write_bytes(data.replace(bytes(len(cut_short)), cut_short, 1))

    def refuse(*_: object, forces: bool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write_file", refuse)
        for one in (B, C):
            assert Journal(path, fsync=False).record_start(one, LATER_MS)

    assert len(path.read_bytes()) == len(data)
    again = Journal(path, fsync=False)
    assert all(again.knows(one) for one in (A, B, C))


def test_a_journal_that_cannot_be_written_for_another_reason_than_room_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    Journal(path, fsync=False).record_start(A, LATER_MS)

    def refuse(*_: object, forces: bool) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(journal_module, "_write_file", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        Journal(path, fsync=False)


def test_a_start_that_was_begun_is_on_disk_once_it_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[bytes] = []
    path = tmp_path / "journal"
    monkeypatch.setattr(journal_module, "_datasync", lambda fd: forced.append(path.read_bytes()))
    journal = Journal(path, fsync=True)

    assert journal.begin_start(A, LATER_MS)
    assert not journal.begin_start(A, LATER_MS)
    assert forced == []
    journal.confirm_starts()
    assert A.encode() in forced[0]
    # Nothing was begun since, so there is nothing to wait for.
    journal.confirm_starts()
    assert len(forced) == 1


def test_somebody_else_may_force_it_to_disk_also_when_it_was_written_anew_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, fsync=True)
    journal.begin_start(A, LATER_MS)
    fd = journal.to_be_forced()
    assert fd is not None
    assert os.fstat(fd).st_ino == path.stat().st_ino
    synced: list[bytes] = []
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").read_bytes())
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync)

    # More than it has room for.
    for number in range(8000):
        journal.begin_start(f"t-{number:08d}.0@i-one", LATER_MS)

    assert A.encode() in synced[0], "the new file was on disk before it took the old one's place"
    os.fdatasync(fd)
    os.close(fd)


@pytest.fixture
def forced_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the kernel is asked to force to disk, by the names that these files have then."""
    names: list[str] = []

    def note(fd: int) -> None:
        names.append(str(Path(f"/proc/self/fd/{fd}").readlink()))

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "fdatasync", note)
    return names


def test_a_new_file_is_on_disk_before_it_takes_its_place_and_its_name_before_anything_starts(
    tmp_path: Path, forced_names: list[str]
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, fsync=True)
    assert forced_names == [f"{path}.new", str(tmp_path)]
    journal.record_start(A, LATER_MS)
    assert forced_names[2:] == [str(path)]


def test_nothing_is_forced_where_that_is_switched_off(tmp_path: Path, forced_names: list[str]) -> None:
    journal = Journal(tmp_path / "journal", fsync=False)
    journal.record_start(A, LATER_MS)
    assert journal.to_be_forced() is None
    assert forced_names == []
