"""Files with secrets: for their owner alone, whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from cloud_assistant.broker_config.files.private_file import write_private_file
from harness.disk import fill, small_disk


def test_only_the_owner_may_read_it_whatever_the_umask_and_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_private_file(path, "new")
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]  # noqa: PTH208 - names are all that is needed


def test_a_link_that_lies_in_the_way_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "secret.new").symlink_to(elsewhere)
    write_private_file(tmp_path / "secret", b"new")
    assert elsewhere.read_text() == "untouched"
    assert (tmp_path / "secret").read_bytes() == b"new"


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    (tmp_path / "secret.new").mkdir()
    with pytest.raises(OSError, match=r"secret\.new"):
        write_private_file(path, "new")
    assert path.read_text() == "old"


def test_what_the_disk_has_no_room_for_leaves_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        kept = disk / "secret"
        kept.write_text("old")
        fill(disk)
        with pytest.raises(OSError, match="No space left"):
            write_private_file(kept, bytes(10_000))
        assert kept.read_text() == "old"
        assert sorted(one.name for one in disk.iterdir()) == ["ballast", "secret"]


@pytest.mark.skipif(os.name != "posix", reason="no folder can be forced to disk there")
def test_a_power_failure_right_after_it_does_not_bring_the_old_file_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    forced: list[tuple[bool, str]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: forced.append(what(descriptor)))

    def what(descriptor: int) -> tuple[bool, str]:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_text()

    write_private_file(path, "new")
    # The content before it has its name, and the name afterwards.
    assert forced == [(False, "old"), (True, "new")]


@pytest.mark.skipif(os.name != "posix", reason="no folder can be forced to disk there")
def test_a_file_system_that_forces_no_folders_takes_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    force = os.fsync

    def not_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        force(descriptor)

    monkeypatch.setattr(os, "fsync", not_folders)
    write_private_file(tmp_path / "secret", "new")
    assert (tmp_path / "secret").read_text() == "new"
