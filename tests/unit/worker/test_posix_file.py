"""A file is written whole or not at all, whatever is in its place."""

import errno
import os
import stat
from pathlib import Path

import pytest

from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.messages import FileOrder
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.file_delivery import posix_file as file_delivery
from cloud_assistant.worker.policy_file import PolicyFile, PolicyGuard


def order(folder: Path, **changed: object) -> FileOrder:
    given: dict[str, object] = {
        "name": "n",
        "target_directory": str(folder),
        "content": b"new",
        "owner": "",
        "group": "",
        "mode": "0644",
        "overwrite": False,
        "timeout_seconds": 60,
        **changed,
    }
    return FileOrder(**given)  # type: ignore[arg-type]  # as given above


def test_a_file_is_written_with_its_mode(tmp_path: Path) -> None:
    outcome = file_delivery.write_file(order(tmp_path / "a" / "b", mode="0751"))
    assert outcome.state == ExecutionState.SUCCESS
    target = tmp_path / "a" / "b" / "n"
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o751)


@pytest.mark.parametrize("mask", [0o077, 0])
def test_folders_on_the_way_have_the_same_mode_whatever_the_agents_mask(tmp_path: Path, mask: int) -> None:
    """Without that a strict mask keeps a file from its owner, and none lets everybody write beside it."""
    before = os.umask(mask)
    try:
        file_delivery.write_file(order(tmp_path / "a" / "b"))
    finally:
        os.umask(before)

    modes = [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "a", tmp_path / "a" / "b")]
    assert modes == [0o755, 0o755]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_nothing_behind_and_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    if overwrite:
        (tmp_path / "n").write_bytes(b"old")
    before = sorted(one.name for one in tmp_path.iterdir())

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NotStarted) as caught:
        file_delivery.write_file(order(tmp_path, overwrite=overwrite))
    assert caught.value.error_code == "FileCreateFail"
    assert "No space left" in caught.value.error_info
    assert sorted(one.name for one in tmp_path.iterdir()) == before


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def appear(_descriptor: int) -> None:
        (tmp_path / "n").write_bytes(b"somebody's")

    monkeypatch.setattr(os, "fsync", appear)
    with pytest.raises(NotStarted) as caught:
        file_delivery.write_file(order(tmp_path))
    assert caught.value.error_code == "FileAlreadyExists"
    assert (tmp_path / "n").read_bytes() == b"somebody's"
    assert [one.name for one in tmp_path.iterdir()] == ["n"]


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_names: str, **_folders: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    file_delivery.write_file(order(tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["n"]
    with pytest.raises(NotStarted) as caught:
        file_delivery.write_file(order(tmp_path))
    assert caught.value.error_code == "FileAlreadyExists"


def test_a_file_system_that_forces_no_folder_to_disk_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    force = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        force(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    assert file_delivery.write_file(order(tmp_path)).state == ExecutionState.SUCCESS
    assert (tmp_path / "n").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": ""}, "FileNameInvalid"),
        ({"name": "."}, "FileNameInvalid"),
        ({"name": "a/b"}, "FileNameInvalid"),
        ({"name": "a\0b"}, "FileNameInvalid"),
        ({"name": "ü" * 128}, "FileNameInvalid"),
        ({"target_directory": "relative"}, "FilePathInvalid"),
        ({"target_directory": "/dev/null"}, "FilePathInvalid"),
        ({"mode": "9999"}, "FileAuthorityInvalid"),
        ({"mode": "07777777"}, "FileAuthorityInvalid"),
        ({"owner": "nobody-of-this-name"}, "AccountNotExists"),
        ({"group": "no-such-group"}, "UserGroupNotExists"),
    ],
)
def test_an_order_that_cannot_be_carried_out(tmp_path: Path, changed: dict[str, object], code: str) -> None:
    with pytest.raises(NotStarted) as caught:
        file_delivery.write_file(order(tmp_path, **changed))
    assert caught.value.error_code == code
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_exchanged_after_the_policy_was_asked_is_not_written_into(tmp_path: Path) -> None:
    allowed, elsewhere, theirs = tmp_path / "allowed", tmp_path / "elsewhere", tmp_path / "allowed" / "theirs"
    for folder in (allowed, elsewhere, theirs):
        folder.mkdir()
    policy = tmp_path / "agent.toml"
    policy.write_text(f"[files]\ndirectories = ['{allowed}']")
    guard = PolicyGuard(PolicyFile(str(policy), owner_uid=os.geteuid()), "app")
    sent = order(theirs)
    guard.check_file(sent)
    theirs.rmdir()
    theirs.symlink_to(elsewhere)

    with pytest.raises(NotStarted, match=f"{elsewhere} is not within"):
        file_delivery.write_file(sent, lambda place: guard.check_file(sent, place))

    assert list(elsewhere.iterdir()) == []
    file_delivery.write_file(order(allowed), lambda place: guard.check_file(sent, place))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_may_be_opened_and_not_entered_is_a_reason_and_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(NotStarted, match="Permission denied") as refused:
        file_delivery.write_file(order(tmp_path, overwrite=overwrite))
    assert refused.value.error_code == ErrorCode.FILE_CREATE_FAIL
