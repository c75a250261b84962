"""The policy's file: who may have written it, and what counts while it is wrong, gone or just changed."""

import os
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config.messages import FileOrder, WorkOrder
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.policy import policy_file
from cloud_assistant.worker.policy.policy_file import PolicyFile, PolicyGuard

ME = os.geteuid()
ORDER = WorkOrder(command_id="c-1", type="RunShellScript", content=b"true", timeout_seconds=60)


def written(path: Path, text: str = "users = ['app']") -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def problem(path: Path, owner_uid: int = ME) -> str:
    return PolicyFile(str(path), owner_uid=owner_uid).in_force().problem


def test_a_file_that_only_its_owner_can_write_is_a_policy(tmp_path: Path) -> None:
    assert problem(written(tmp_path / "agent.toml")) == ""


def test_a_file_may_begin_with_the_mark_that_editors_of_windows_write(tmp_path: Path) -> None:
    assert problem(written(tmp_path / "agent.toml", "\ufeffusers = ['app']")) == ""


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_forbids_everything(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "agent.toml")
    path.chmod(mode)
    assert "chmod go-w" in problem(path)


def test_a_file_in_a_folder_that_others_can_write_forbids_everything(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    path = written(folder / "agent.toml")
    folder.chmod(0o777)
    assert f"chmod go-w {folder}" in problem(path)
    folder.chmod(0o777 | stat.S_ISVTX)
    assert problem(path) == ""


@pytest.mark.skipif(ME != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_forbids_everything(tmp_path: Path) -> None:
    path = written(tmp_path / "agent.toml")
    os.chown(path, 65534, 65534)
    assert "chown root" in problem(path)
    os.chown(path, 0, 0)
    os.chown(tmp_path, 65534, 65534)
    assert "chown root" in problem(path)


@pytest.mark.skipif(ME != 0, reason="only root can give a file away")
def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    written(theirs / "agent.toml")
    os.chown(theirs, 65534, 65534)
    (tmp_path / "link.toml").symlink_to(theirs / "agent.toml")
    assert "chown root" in problem(tmp_path / "link.toml")


def test_a_link_in_a_folder_that_others_can_write_forbids_everything(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "open"
    for folder in (ours, theirs):
        folder.mkdir()
    written(ours / "agent.toml")
    # They could let it lead to any file of root's that forbids nothing.
    (theirs / "link.toml").symlink_to(ours / "agent.toml")
    (tmp_path / "way").symlink_to("open")
    theirs.chmod(0o777)
    for path in (theirs / "link.toml", tmp_path / "way" / "link.toml", tmp_path / "way" / ".." / "open" / "link.toml"):
        assert f"can write the folder {theirs}" in problem(path)
    theirs.chmod(0o755)
    assert problem(tmp_path / "way" / "link.toml") == ""


@pytest.mark.skipif(ME != 0, reason="only root can make a link that is somebody else's")
def test_somebody_elses_link_in_a_folder_such_as_tmp_forbids_everything(tmp_path: Path) -> None:
    ours, shared = written(tmp_path / "agent.toml"), tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link.toml").symlink_to(ours)
    assert problem(shared / "link.toml") == ""
    os.chown(shared / "link.toml", 65534, 65534, follow_symlinks=False)
    assert "may be changed by others" in problem(shared / "link.toml")


@pytest.mark.parametrize("text", ["not toml", "unknown = 1", "users = ["])
def test_a_file_that_is_not_understood_forbids_everything(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "agent.toml", text)
    guard = PolicyGuard(PolicyFile(str(path), owner_uid=ME), "app")
    with pytest.raises(NotStarted) as refused:
        guard.check_script(ORDER)
    assert refused.value.error_code == "RefusedByLocalPolicy"
    assert str(path) in refused.value.error_info


def test_a_named_file_that_is_not_there_forbids_everything(tmp_path: Path) -> None:
    # An agent that is started anew would want it as well.
    assert problem(tmp_path / "none.toml").endswith("none.toml is not there; put it there")


@pytest.mark.parametrize("path", ["", policy_file.DEFAULT_PATH])
def test_without_a_default_file_everything_is_allowed(path: str) -> None:
    found = PolicyFile(path)
    if Path(found.path).exists():
        pytest.skip(f"this machine has a policy of its own: {found.path}")
    assert found.in_force() == (None, "")


def test_a_default_file_that_is_a_link_to_nothing_forbids_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_file, "DEFAULT_PATH", str(tmp_path / "agent.toml"))
    file = PolicyFile("", owner_uid=ME)
    assert file.in_force() == (None, "")
    # The disk that it lies on is mounted later.
    (tmp_path / "agent.toml").symlink_to(tmp_path / "disk" / "agent.toml")
    assert "is a link to a file that is not there; put it there" in file.in_force().problem
    (tmp_path / "disk").mkdir()
    written(tmp_path / "disk" / "agent.toml")
    assert file.in_force().problem == ""


def test_a_default_file_that_cannot_be_looked_at_forbids_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.toml"
    path.symlink_to(path)
    monkeypatch.setattr(policy_file, "DEFAULT_PATH", str(path))
    file = PolicyFile("", owner_uid=ME)
    assert "cannot be used" in file.in_force().problem
    path.unlink()
    written(path)
    assert file.in_force().problem == ""


def test_a_change_counts_at_the_next_question(tmp_path: Path) -> None:
    path = written(tmp_path / "agent.toml", "enabled = false")
    guard = PolicyGuard(PolicyFile(str(path), owner_uid=ME), "app")
    for text, is_allowed in (("enabled = false", False), ("enabled = true ", True), ("enabled = false", False)):
        path.write_text(text)
        if is_allowed:
            guard.check_script(ORDER)
        else:
            with pytest.raises(NotStarted, match="switched off"):
                guard.check_script(ORDER)
    path.write_text("enabled = true ")
    guard.check_script(ORDER)
    path.chmod(0o666)
    with pytest.raises(NotStarted, match="chmod"):
        guard.check_script(ORDER)


@pytest.mark.parametrize(("age_seconds", "is_noticed"), [(0.0, True), (-0.5, True), (10.0, False)])
def test_a_second_change_within_a_tick_of_the_clock_of_files_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_seconds: float, is_noticed: bool
) -> None:
    """It leaves no mark; so what was changed a moment ago is read at each question, and older ones are not."""
    path = written(tmp_path / "agent.toml", "enabled = false")
    at_ns = time.time_ns() - int(age_seconds * 1e9)
    look = os.stat

    def stat_by_ticks(name: Any, **options: Any) -> Any:
        found = look(name, **options)
        if str(name) != str(path):
            return found
        names = ("st_mode", "st_uid", "st_dev", "st_ino", "st_size")
        return SimpleNamespace(**{one: getattr(found, one) for one in names}, st_mtime_ns=at_ns, st_ctime_ns=at_ns)

    monkeypatch.setattr(os, "stat", stat_by_ticks)
    file = PolicyFile(str(path), owner_uid=ME)
    before = file.in_force().policy
    path.write_text("enabled = true ")
    after = file.in_force().policy
    assert before is not None
    assert after is not None
    assert (before.enabled, after.enabled) == (False, is_noticed)


def test_a_policy_that_disappears_is_no_permission(tmp_path: Path) -> None:
    path = written(tmp_path / "agent.toml", "")
    file = PolicyFile(str(path), owner_uid=ME)
    assert file.in_force().problem == ""
    path.unlink()
    assert "is not there" in file.in_force().problem
    written(path, "")
    assert file.in_force().problem == ""


def test_a_default_policy_that_disappears_is_no_permission_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "agent.toml"
    monkeypatch.setattr(policy_file, "DEFAULT_PATH", str(path))
    file = PolicyFile("", owner_uid=ME)
    assert file.in_force() == (None, ""), "there never was one"
    written(path)
    with caplog.at_level("INFO"):
        for _ in range(3):
            assert file.in_force().policy is not None
        path.unlink()
        for _ in range(3):
            assert "is not there; put it there, or restart the agent" in file.in_force().problem
    # Each change is told once, however often somebody asks.
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert "NOTHING RUNS HERE" in caplog.text


def file_order(directory: Path, owner: str = "") -> FileOrder:
    return FileOrder(
        name="n", target_directory=str(directory), content=b"", owner=owner, group="", mode="0644", overwrite=False,
        timeout_seconds=60,
    )  # fmt: skip


def test_no_user_means_the_agents_own_and_a_files_owner_counts_as_its_user(tmp_path: Path) -> None:
    path = written(tmp_path / "agent.toml", f"users = ['app']\n[files]\ndirectories = ['{tmp_path}']")
    file = PolicyFile(str(path), owner_uid=ME)
    as_app, as_root = PolicyGuard(file, "app"), PolicyGuard(file, "root")
    for guard, user, is_allowed in ((as_app, "", True), (as_app, "root", False), (as_root, "app", True)):
        order = msgspec.structs.replace(ORDER, username=user)
        if is_allowed:
            guard.check_script(order)
            guard.check_file(file_order(tmp_path, user))
        else:
            with pytest.raises(NotStarted, match="users: 'root'"):
                guard.check_script(order)
            with pytest.raises(NotStarted, match="users: 'root'"):
                guard.check_file(file_order(tmp_path, user))
    with pytest.raises(NotStarted, match="users: 'root'"):
        as_root.check_script(ORDER)


@pytest.mark.parametrize(
    ("group", "mode", "is_allowed"),
    [
        ("disk", "0755", True),
        ("", "2755", True),
        ("disk", "2755", False),
        ("disk", "3755", False),
        ("disk", "6755", False),
        ("disk", "7755", False),
        ("disk", "4755", True),
        ("disk", "755", True),
    ],
)
def test_where_the_policy_names_users_a_file_lends_nobody_another_group(
    tmp_path: Path, group: str, mode: str, is_allowed: bool
) -> None:
    """Whoever runs such a file has the rights of its group, which may be more than those of any user."""
    path = written(tmp_path / "agent.toml", f"users = ['app']\n[files]\ndirectories = ['{tmp_path}']")
    guard = PolicyGuard(PolicyFile(str(path), owner_uid=ME), "root")
    order = msgspec.structs.replace(file_order(tmp_path, "app"), group=group, mode=mode)
    if is_allowed:
        guard.check_file(order)
    else:
        with pytest.raises(NotStarted, match=r"users: .* leave the group out"):
            guard.check_file(order)
    written(path, "[files]")
    guard.check_file(order)


def test_a_file_is_judged_by_the_place_where_it_would_be_written(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    path = written(tmp_path / "agent.toml", f"[files]\ndirectories = ['{allowed}']")
    guard = PolicyGuard(PolicyFile(str(path), owner_uid=ME), "app")
    guard.check_file(file_order(allowed))
    guard.check_file(file_order(tmp_path), str(allowed))
    for order, place in ((file_order(tmp_path), ""), (file_order(allowed), str(tmp_path))):
        with pytest.raises(NotStarted, match="files: "):
            guard.check_file(order, place)


@pytest.mark.timeout(20)
def test_what_is_no_file_forbids_everything_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/full")):
        assert "not an ordinary file" in problem(path)


def test_a_grace_is_as_long_as_a_timeout_may_be(tmp_path: Path) -> None:
    path = written(tmp_path / "agent.toml", "timeout_seconds_max = 60")
    guard = PolicyGuard(PolicyFile(str(path), owner_uid=ME), "app")
    guard.check_script(msgspec.structs.replace(ORDER, grace_seconds=60))
    with pytest.raises(NotStarted, match="timeout_seconds_max: "):
        guard.check_script(msgspec.structs.replace(ORDER, grace_seconds=61))


def test_a_file_too_large_for_a_policy_forbids_everything(tmp_path: Path) -> None:
    rule, most_bytes = "users = ['app']\n", 1024 * 1024
    path = written(tmp_path / "agent.toml", rule + "#" * (most_bytes - len(rule)))
    assert problem(path) == ""
    written(path, path.read_text() + "#")
    assert "not an ordinary file" in problem(path)
