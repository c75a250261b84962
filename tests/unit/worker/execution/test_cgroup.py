import builtins
import io
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.worker.execution import cgroup
from cloud_assistant.worker.execution.cgroup import ScriptGroup, members_of, own_group, remove_empty_groups

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
HYBRID = (
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)
CONTAINER = "41 31 0:38 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"


@pytest.mark.parametrize(
    ("groups", "mounts", "folder"),
    [
        ("0::/\n", UNIFIED, "/sys/fs/cgroup"),
        ("0::/system.slice/agent.service\n", UNIFIED, "/sys/fs/cgroup/system.slice/agent.service"),
        ("5:cpu:/x\n0::/user\n", HYBRID, "/sys/fs/cgroup/unified/user"),
        ("0::/docker/abc/inner\n", CONTAINER, "/sys/fs/cgroup/inner"),
        ("0::/docker/abc\n", CONTAINER, "/sys/fs/cgroup"),
        ("0::/elsewhere\n", CONTAINER, None),
        ("0::/docker/abcdef\n", CONTAINER, None),
        ("5:cpu:/x\n", HYBRID, None),
        ("0::/\n", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", None),
    ],
)
def test_the_own_group_is_found_wherever_version_two_is_mounted(
    monkeypatch: pytest.MonkeyPatch, groups: str, mounts: str, folder: str | None
) -> None:
    files = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts}
    real_open = builtins.open

    def fake_open(path: Any, *args: Any, **kwargs: Any) -> Any:
        return io.StringIO(files[path]) if path in files else real_open(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", fake_open)
    assert own_group() == folder


def test_without_proc_there_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: object, *args: object, **kwargs: object) -> object:
        raise FileNotFoundError(path)

    monkeypatch.setattr(builtins, "open", gone)
    assert own_group() is None


def test_a_supervisor_without_the_right_does_without_a_group(tmp_path: Path) -> None:
    assert ScriptGroup.create(None, "x") is None
    assert ScriptGroup.create(str(tmp_path / "no" / "where"), "x") is None
    assert ScriptGroup.create(str(tmp_path), "x") is None, "an ordinary folder takes no process"
    assert list(tmp_path.iterdir()) == []


def test_stepping_in_and_out_writes_this_process_to_each_group_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, bytes]] = []
    monkeypatch.setattr(cgroup, "_write", lambda path, data: written.append((path, data)))
    group = ScriptGroup.create(str(tmp_path), "x")
    assert group is not None
    group.enter()
    group.kill()
    group.step_out()
    inside, outside = f"{tmp_path}/cloud-assistant-script-x", str(tmp_path)
    assert written == [
        (f"{inside}/cgroup.procs", b"0"),
        (f"{outside}/cgroup.procs", b"0"),
        (f"{inside}/cgroup.kill", b"1"),
    ]
    group.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_supervisor_that_cannot_step_out_does_not_kill_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(cgroup, "_write", lambda path, data: written.append(path))
    group = ScriptGroup.create(str(tmp_path), "x")
    assert group is not None

    def refuse(path: str, data: bytes) -> None:
        if path == f"{tmp_path}/cgroup.procs":
            raise OSError(16, "Device or resource busy")
        written.append(path)

    monkeypatch.setattr(cgroup, "_write", refuse)
    group.kill()
    assert not any(path.endswith("cgroup.kill") for path in written)
    assert not group.freeze()


def test_members_are_those_of_groups_below_too(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "cgroup.procs").write_text("12\n0\n")
    (tmp_path / "below" / "cgroup.procs").write_text("34\n")
    assert sorted(members_of(str(tmp_path))) == [12, 34]
    assert members_of(str(tmp_path / "gone")) == []


def test_only_our_empty_groups_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "cloud-assistant-script-1-2").mkdir()
    (tmp_path / "cloud-assistant-script-3-4" / "in-use").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    remove_empty_groups(str(tmp_path))
    remove_empty_groups(None)
    remove_empty_groups(str(tmp_path / "gone"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cloud-assistant-script-3-4", "other"]
