"""A file is written whole or not at all, whatever is in its place."""

import contextlib
import errno
import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.messages import FileOrder
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.file_delivery import posix_file as file_delivery
from cloud_assistant.worker.policy.policy_file import PolicyFile, PolicyGuard


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


def test_a_system_that_takes_a_part_at_a_time_gets_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:1]))
    file_delivery.write_file(order(tmp_path))
    assert (tmp_path / "n").read_bytes() == b"new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_in_the_way_is_told_as_one(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "n").mkdir()
    with pytest.raises(NotStarted, match="is a folder; remove it first") as refused:
        file_delivery.write_file(order(tmp_path, overwrite=overwrite))
    assert refused.value.error_code == "FileCreateFail"


def test_a_pipe_in_the_way_is_replaced_when_that_is_allowed_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "n")
    with pytest.raises(NotStarted) as refused:
        file_delivery.write_file(order(tmp_path))
    assert refused.value.error_code == "FileAlreadyExists"
    file_delivery.write_file(order(tmp_path, overwrite=True))
    assert (tmp_path / "n").read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_is_its_owners_and_of_the_owners_group_unless_another_is_named(tmp_path: Path) -> None:
    nobody, daemon = pwd.getpwnam("nobody"), grp.getgrnam("daemon")

    def owners(**changed: str) -> tuple[int, int]:
        file_delivery.write_file(order(tmp_path, overwrite=True, mode="4755", **changed))
        status = (tmp_path / "n").stat()
        assert stat.S_IMODE(status.st_mode) == 0o4755, "a change of owner takes that bit away"
        return status.st_uid, status.st_gid

    assert owners(owner="nobody") == (nobody.pw_uid, nobody.pw_gid)
    assert owners(owner="nobody", group="daemon") == (nobody.pw_uid, daemon.gr_gid)
    assert owners(group="daemon") == (0, daemon.gr_gid)
    assert owners() == (0, os.getegid())


def test_an_agent_that_is_not_root_keeps_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = pwd.getpwuid(os.geteuid() or pwd.getpwnam("nobody").pw_uid)
    monkeypatch.setattr(os, "geteuid", lambda: somebody.pw_uid)
    with pytest.raises(NotStarted, match="the agent is not root and cannot give a file to 'daemon'"):
        file_delivery.write_file(order(tmp_path, owner="daemon"))
    # Its own name is no gift.
    assert file_delivery.write_file(order(tmp_path, owner=somebody.pw_name)).state == ExecutionState.SUCCESS


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_folder_that_somebody_puts_in_the_place_of_ours_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    if kind == "folder":
        # An empty one is like ours.
        (theirs / "content").mkdir()
    mkdir = Path.mkdir

    def exchanged(path: Path, mode: int) -> None:
        mkdir(path, mode)
        path.rmdir()
        if kind == "link":
            path.symlink_to(theirs)
        else:
            theirs.rename(path)

    monkeypatch.setattr(Path, "mkdir", exchanged)
    with contextlib.suppress(NotStarted):
        file_delivery.write_file(order(tmp_path / "ours"))
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o700


def test_a_disk_that_fills_up_before_the_file_has_its_name_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_names: str, **_folders: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(NotStarted, match="No space left on device"):
        file_delivery.write_file(order(tmp_path))
    assert list(tmp_path.iterdir()) == []


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
    refuse_to_force_folders(monkeypatch, errno.EINVAL)
    assert file_delivery.write_file(order(tmp_path)).state == ExecutionState.SUCCESS
    assert (tmp_path / "n").read_bytes() == b"new"


def test_a_disk_that_breaks_at_the_last_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_force_folders(monkeypatch, errno.EIO)
    with pytest.raises(NotStarted) as caught:
        file_delivery.write_file(order(tmp_path))
    assert caught.value.error_code == "FileCreateFail"


def refuse_to_force_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    force = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        force(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)


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
