import errno
import os
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.account import Account, account_of
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.script_file import write_script_file

OWN = account_of("")


def test_the_folder_and_the_file_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    file = write_script_file(str(folder), "script.sh", b"echo 1", OWN)
    assert (file.path, file.memory_fd, file.notes) == (f"{folder}/script.sh", None, [])
    assert Path(file.path).read_bytes() == b"echo 1"
    assert Path(file.path).stat().st_mode & 0o7777 == 0o500
    assert folder.stat().st_mode & 0o7777 == 0o700


def test_a_folder_that_is_there_is_made_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    write_script_file(str(tmp_path), "script.sh", b"", OWN)
    assert tmp_path.stat().st_mode & 0o7777 == 0o700


def test_a_script_that_is_there_is_never_run_again(tmp_path: Path) -> None:
    write_script_file(str(tmp_path), "script.sh", b"first", OWN)
    with pytest.raises(NotStarted, match="not started twice"):
        write_script_file(str(tmp_path), "script.sh", b"second", OWN)
    assert (tmp_path / "script.sh").read_bytes() == b"first"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "script.sh").symlink_to(victim)
    with pytest.raises(NotStarted):
        write_script_file(str(folder), "script.sh", b"evil", OWN)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(NotStarted, match="not a folder of the agent"):
        write_script_file(str(tmp_path / "link"), "other.sh", b"evil", OWN)
    assert victim.read_text() == "precious"


def test_a_missing_home_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="No such file") as refused:
        write_script_file(str(tmp_path / "no" / "x"), "script.sh", b"", OWN)
    assert str(tmp_path) in refused.value.error_info


def test_another_users_script_is_theirs_and_the_folder_stays_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append((uid, gid)))
    other = Account("ann", 1234, 5678, (5678,), "/home/ann", "/bin/sh", is_own=False)
    write_script_file(str(tmp_path / "x"), "script.sh", b"", other)
    assert given == [(1234, 5678)]
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o711
    assert (tmp_path / "x").stat().st_uid == os.geteuid()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_turns_the_script_into_a_memory_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    real_write = os.write

    def full(fd: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(tmp_path):
            raise OSError(error, os.strerror(error))
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", full)
    file = write_script_file(str(tmp_path / "x"), "script.sh", b"echo 1", OWN)
    assert file.memory_fd is not None
    assert Path(f"/proc/self/fd/{file.memory_fd}").read_bytes() == b"echo 1"
    assert os.fstat(file.memory_fd).st_mode & 0o777 == 0o500
    assert "memory" in file.notes[0]
    assert list((tmp_path / "x").iterdir()) == []
    os.close(file.memory_fd)


def test_another_error_of_the_disk_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int, data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(NotStarted, match="Input/output error"):
        write_script_file(str(tmp_path / "x"), "script.sh", b"echo 1", OWN)
