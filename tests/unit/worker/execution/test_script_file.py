import errno
import os
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.plan import Credentials, Plan
from cloud_assistant.worker.execution.script_file import write_script_file


def plan_in(folder: Path, content: bytes = b"", *, name: str = "script.sh", user: Credentials | None = None) -> Plan:
    return Plan(
        execution_id="x",
        folder=str(folder),
        arguments=["/bin/sh", f"{folder}/{name}"],
        script_path=f"{folder}/{name}",
        content=content,
        environment={},
        working_directory="/",
        working_directory_is_default=True,
        credentials=user,
        timeout_seconds=1,
        grace_seconds=1,
        drain_seconds=1,
        kills_tree=True,
        output_limit_bytes=1000,
        keep_script=False,
    )


def fill_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    real_write = os.write

    def full(fd: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(folder):
            raise OSError(error, os.strerror(error))
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", full)


def test_the_file_is_private(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, b"echo 1")
    write_script_file(plan)
    assert (plan.script_fd, plan.notes) == (None, [])
    assert Path(plan.script_path).read_bytes() == b"echo 1"
    assert Path(plan.script_path).stat().st_mode & 0o7777 == 0o500


def test_a_script_that_is_there_is_never_run_again(tmp_path: Path) -> None:
    write_script_file(plan_in(tmp_path, b"first"))
    with pytest.raises(NotStarted, match="not started twice"):
        write_script_file(plan_in(tmp_path, b"second"))
    assert (tmp_path / "script.sh").read_bytes() == b"first"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "script.sh").symlink_to(victim)
    with pytest.raises(NotStarted):
        write_script_file(plan_in(tmp_path, b"evil"))
    assert victim.read_text() == "precious"


def test_a_missing_home_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="No such file") as refused:
        write_script_file(plan_in(tmp_path / "no"))
    assert str(tmp_path) in refused.value.error_info


def test_another_users_script_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append((uid, gid)))
    write_script_file(plan_in(tmp_path, user=Credentials("ann", 1234, 5678, (5678,))))
    assert given == [(1234, 5678)]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_turns_the_script_into_a_memory_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    fill_the_disk(tmp_path, monkeypatch, error)
    plan = plan_in(tmp_path, b"echo 1")
    write_script_file(plan)
    assert plan.script_fd is not None
    assert Path(f"/proc/self/fd/{plan.script_fd}").read_bytes() == b"echo 1"
    assert os.fstat(plan.script_fd).st_mode & 0o777 == 0o500
    assert "memory" in plan.notes[0]
    assert list(tmp_path.iterdir()) == []
    plan.close()
    plan.close()


def test_powershell_does_not_run_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_the_disk(tmp_path, monkeypatch, errno.ENOSPC)
    plan = plan_in(tmp_path, b"1", name="script.ps1")
    with pytest.raises(NotStarted, match="free some space"):
        write_script_file(plan)
    assert plan.script_fd is None


def test_another_error_of_the_disk_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int, data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(NotStarted, match="Input/output error"):
        write_script_file(plan_in(tmp_path, b"echo 1"))
