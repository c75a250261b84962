import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.spool import Spool

_NOBODY = 65534
A, B = "t-aaaaaaaa.0@i-one", "t-bbbbbbbb.0@i-one"
OUTCOME = Outcome(
    state=ExecutionState.FAILED,
    started_ms=1,
    finished_ms=2,
    exit_code=3,
    error_code="ExitCodeNonzero",
    output=KeptStreams(data=b"\xff\0out", runs=((1, 2), (2, 3)), dropped_bytes=7, gap_at=2),
    survivors=0,
    steps=[{"what": "SIGTERM", "at_ms": 4, "process_count": 2}],
    notes=["a note"],
)


def spool(tmp_path: Path, *, limit_bytes: int = 1000, keep_scripts: bool = False) -> Spool:
    made = Spool(tmp_path / "spool", limit_bytes=limit_bytes, keep_scripts=keep_scripts)
    made.make()
    return made


def test_a_saved_result_reads_back_whole(tmp_path: Path) -> None:
    first = spool(tmp_path)
    first.save(A, OUTCOME)

    assert spool(tmp_path).load(A) == OUTCOME
    assert (tmp_path / "spool" / A / "outcome.json").stat().st_mode & 0o777 == 0o600
    assert first.executions() == [A]


def test_users_whose_scripts_lie_below_may_pass_whatever_the_mask_or_an_earlier_release_says(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    assert spool(tmp_path).root.stat().st_mode & 0o777 == 0o711


def test_the_emptied_folder_of_a_killed_supervisor_goes(tmp_path: Path) -> None:
    made = spool(tmp_path)
    spares = tmp_path / "spool-spare"
    for name in (f"{os.getpid()}-34", f"{2**22 + 1}-34"):
        (spares / name).mkdir()
        (spares / name / "claim").touch()

    made.remove_abandoned()

    assert [one.name for one in spares.iterdir()] == [f"{os.getpid()}-34"]
    shutil.rmtree(spares)
    made.remove_abandoned()


@pytest.mark.parametrize("step", ["open", "fsync"])
def test_of_a_result_that_the_disk_does_not_take_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made = spool(tmp_path)
    made.folder(B).mkdir()
    (made.folder(B) / "script.sh").touch()
    with monkeypatch.context() as full:
        full.setattr(os, step, refuse)
        for name in (A, B):
            with pytest.raises(OSError, match="No space"):
                made.save(name, OUTCOME)

    assert [path.relative_to(made.root) for path in made.root.rglob("*")] == [Path(B), Path(B) / "script.sh"]


def test_a_result_is_on_disk_whole_before_its_name_is_and_both_before_it_is_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, forced = spool(tmp_path), []

    def note(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        forced.append((path.name, os.fstat(fd).st_size > 0, (made.folder(A) / "outcome.json").exists()))

    monkeypatch.setattr(os, "fsync", note)
    made.save(A, OUTCOME)

    assert forced == [("outcome.json.new", True, False), (A, True, True), ("spool", True, True)]


def test_a_folder_is_forgotten_when_nothing_was_done_in_it_for_long(tmp_path: Path) -> None:
    made = spool(tmp_path)
    for number, age_seconds in enumerate((100, 70, 0, -100)):
        folder = made.folder(f"t-{number:08d}.0@i-one")
        folder.mkdir()
        changed_at = time.time() - age_seconds
        os.utime(folder, (changed_at, changed_at))

    assert made.executions(untouched_seconds=60) == ["t-00000000.0@i-one", "t-00000001.0@i-one"]
    assert len(made.executions()) == 4


def test_a_damaged_result_counts_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = spool(tmp_path)
    made.save(A, OUTCOME)
    (tmp_path / "spool" / A / "outcome.json").write_bytes(b'{"state": "Fa')

    assert made.load(A) is None
    assert made.load(B) is None
    assert A in caplog.text


def test_a_delivered_execution_leaves_nothing(tmp_path: Path) -> None:
    made = spool(tmp_path)
    made.save(A, OUTCOME)

    made.delivered(A)
    made.delivered(B)

    assert list((tmp_path / "spool").iterdir()) == []


def test_a_kept_script_is_all_that_stays(tmp_path: Path) -> None:
    made = spool(tmp_path, keep_scripts=True)
    made.save(A, OUTCOME)
    (made.folder(A) / "script.sh").write_text("echo")
    for name in ("exit.json", "started.json", "claim", "output.bin"):
        (made.folder(A) / name).write_text("{}")

    made.delivered(A)

    assert sorted(path.name for path in made.folder(A).iterdir()) == ["delivered", "script.sh"]
    assert made.executions() == []


def test_only_kept_scripts_make_room_and_the_oldest_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = spool(tmp_path, keep_scripts=True, limit_bytes=900)
    names = [f"t-{number:08d}.0@i-one" for number in range(4)]
    for number, name in enumerate(names):
        made.folder(name).mkdir()
        (made.folder(name) / "script.sh").write_bytes(b"x" * 400)
        if number:
            made.delivered(name)
        os.utime(made.folder(name), (number, number))

    used_bytes = made.trim()

    assert [name for name in names if made.folder(name).exists()] == [names[0], names[3]]
    assert used_bytes <= 900
    assert caplog.text == ""
    (made.folder(names[0]) / "script.sh").write_bytes(b"x" * 2000)
    made.trim()
    assert made.folder(names[0]).exists()
    assert "spool_limit_bytes" in caplog.text


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    made = spool(tmp_path, limit_bytes=0)
    (tmp_path / "spool" / "lost+found").mkdir()

    made.trim()

    assert made.executions() == []
    assert (tmp_path / "spool" / "lost+found").exists()


def test_no_link_leads_out_of_the_spool(tmp_path: Path) -> None:
    """A script of the agent's own user can put one anywhere in it."""
    made, elsewhere = spool(tmp_path, limit_bytes=0), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"as it was")
    made.folder(A).symlink_to(elsewhere)
    made.folder(B).mkdir()
    (made.folder(B) / "outcome.json.new").symlink_to(elsewhere / "file")

    assert made.executions() == [B]
    with pytest.raises(OSError, match="symbolic links"):
        made.save(B, OUTCOME)
    made.trim()
    assert (elsewhere / "file").read_bytes() == b"as it was"


def test_a_folder_that_cannot_be_removed_hinders_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spool(tmp_path, limit_bytes=0, keep_scripts=True)
    for name in (A, B):
        made.folder(name).mkdir()
        (made.folder(name) / "script.sh").touch()
        made.delivered(name)
    (made.folder(B) / "script.sh").write_bytes(b"x" * 10)
    os.utime(made.folder(A), (1, 1))
    (made.folder(A) / "script.sh").write_bytes(b"x" * 10)
    remove = shutil.rmtree

    def refuse_first(folder: Path) -> None:
        if folder.name == A:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        remove(folder)

    monkeypatch.setattr(shutil, "rmtree", refuse_first)
    assert made.trim() >= 10
    assert [made.folder(name).exists() for name in (A, B)] == [True, False]


def test_emptied_folders_of_an_earlier_agent_are_removed(tmp_path: Path) -> None:
    spool(tmp_path)
    (tmp_path / "spool-spare" / "12-34").mkdir()

    spool(tmp_path)

    assert list((tmp_path / "spool-spare").iterdir()) == []
    assert (tmp_path / "spool-spare").stat().st_mode & 0o777 == 0o700


def test_an_execution_that_ends_while_the_spool_is_measured_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spool(tmp_path)
    made.save(A, OUTCOME)
    look_for = Path.rglob

    def clear_when_found(folder: Path, pattern: str) -> Iterator[Path]:
        for path in look_for(folder, pattern):
            shutil.rmtree(folder, ignore_errors=True)
            yield path

    monkeypatch.setattr(Path, "rglob", clear_when_found)

    assert made.trim() == 0


@contextmanager
def ordinary_user(*folders: Path) -> Iterator[None]:
    """Be one who owns these folders; whoever is one already stays it."""
    if os.geteuid() != 0:
        yield
        return
    for folder in folders:
        os.chown(folder, _NOBODY, _NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_a_script_has_closed_hinders_nobody_and_goes(tmp_path: Path) -> None:
    """A script that runs as the agent's own ordinary user can close what both of them own."""
    made = spool(tmp_path)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    with ordinary_user(made.root):
        for closed_mode in (0o400, 0o000):
            inner = made.folder(A) / "inner"
            inner.mkdir(parents=True)
            (inner / "file").write_bytes(b"x")
            (inner / "elsewhere").symlink_to(tmp_path)
            inner.chmod(closed_mode)

            made.trim()
            made.delivered(A)

            assert list(made.root.iterdir()) == []
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_was_closed_with_an_undelivered_result_in_it_is_found_and_read(tmp_path: Path) -> None:
    made = spool(tmp_path, limit_bytes=0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    with ordinary_user(made.root):
        for name in (A, B):
            made.save(name, OUTCOME)
        made.folder(A).chmod(0o000)

        made.trim()

        assert sorted(made.executions()) == [A, B]
        assert made.load(A) == OUTCOME


def test_a_folder_that_the_disk_does_not_give_counts_as_undelivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spool(tmp_path, limit_bytes=0, keep_scripts=True)
    for name in (A, B):
        made.folder(name).mkdir()
        (made.folder(name) / "script.sh").touch()
        made.delivered(name)
    look = os.stat

    def fail_there(path: Path, **options: bool) -> os.stat_result:
        if str(path).startswith(made.folder_name(A)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return look(path, **options)

    with monkeypatch.context() as damaged:
        damaged.setattr(os, "stat", fail_there)
        assert made.executions() == [A]
        assert made.executions(untouched_seconds=1) == []


@pytest.mark.parametrize("name", ["/etc", "../a", "a/../../b", "..", ".", "", "a\\b"])
def test_a_name_that_leads_elsewhere_has_no_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not an execution"):
        spool(tmp_path).folder(name)
