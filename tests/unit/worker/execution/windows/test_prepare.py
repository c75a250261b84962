"""What becomes of a script on Windows, up to the call that starts it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.script import Script
from cloud_assistant.worker.execution.windows import process as windows_process
from cloud_assistant.worker.execution.windows.prepare import prepare_on_windows
from cloud_assistant.worker.execution.windows.process import WindowsSystem


def script_of(**changes: Any) -> Script:
    values: dict[str, Any] = {
        "execution_id": "x-1",
        "instance_id": "i-1",
        "invoke_id": "t-1",
        "command_id": "c-1",
        "command_name": "n",
        "script_type": "RunBatScript",
        "content": b"",
        **changes,
    }
    return Script(**values)


def test_what_cannot_run_on_windows_is_refused(tmp_path: Path) -> None:
    for changes, code in (
        ({"script_type": "RunShellScript"}, "CommandNotApplicable"),
        ({"username": "ann"}, "ExecutionException"),
        ({"working_directory": str(tmp_path / "no")}, "DirectoryNotExists"),
        ({"working_directory": "."}, "DirectoryNotExists"),
        ({"launcher": '"open'}, "ExecutionException"),
        ({"parameters": {"a": "\0"}}, "ExecutionException"),
    ):
        with pytest.raises(NotStarted) as refused:
            prepare_on_windows(script_of(**changes), tmp_path / "x", {})
        assert refused.value.error_code == code
    assert not (tmp_path / "x").exists()


def test_the_plan_of_a_batch_file(tmp_path: Path) -> None:
    inherited = {"SystemRoot": r"C:\Windows", "USERPROFILE": r"C:\Users\ann"}
    plan = prepare_on_windows(script_of(content=b"ver\n"), tmp_path / "x", inherited)
    assert plan.arguments[0] == r"C:\Windows\System32\cmd.exe"
    assert plan.content == b"@echo off\r\nver\r\n"
    assert plan.script_path.endswith("script.bat")
    assert plan.working_directory == r"C:\Users\ann"
    assert not (tmp_path / "x").exists(), "a dry run leaves nothing"


@pytest.mark.parametrize(
    ("script_type", "launcher", "written"),
    [
        ("RunBatScript", 'python -u {{ACS::ScriptFileName|Ext(".py")}}', b"a\nb"),
        ("RunBatScript", "python -u", b"a\nb"),
        ("RunPowerShellScript", 'node {{ACS::ScriptFileName|Ext("js")}}', b"a\nb"),
        ("RunBatScript", r"C:\Windows\System32\CMD.EXE /v:on /c", b"@echo off\r\na\r\nb"),
        ("RunBatScript", 'call {{ACS::ScriptFileName|Ext(".CMD")}}', b"@echo off\r\na\r\nb"),
        ("RunPowerShellScript", "pwsh -File", b"\xef\xbb\xbfa\r\nb"),
        ("RunBatScript", 'pwsh -File {{ACS::ScriptFileName|Ext(".ps1")}}', b"\xef\xbb\xbfa\r\nb"),
    ],
)
def test_a_script_is_made_fit_for_what_reads_it(
    tmp_path: Path, script_type: str, launcher: str, written: bytes
) -> None:
    script = script_of(script_type=script_type, launcher=launcher, content=b"\xef\xbb\xbfa\nb")
    assert prepare_on_windows(script, tmp_path / "x", {}).content == written


@pytest.mark.parametrize(
    ("content", "told", "written"),
    [
        (b"dir", {"parameters": {"a": "who"}}, b"@echo off\r\ndir"),
        (b"dir", {"parameters": {"a": "你"}}, b"@echo off\r\n@chcp 65001>nul\r\ndir"),
        (b"dir", {"secrets": {"a": "密"}}, b"@echo off\r\n@chcp 65001>nul\r\ndir"),
        ("rem 你".encode("gbk"), {"parameters": {"a": "你"}}, b"@echo off\r\nrem \xc4\xe3"),
    ],
)
def test_a_batch_file_can_write_the_values_that_it_is_told(
    tmp_path: Path, content: bytes, told: dict[str, Any], written: bytes
) -> None:
    assert prepare_on_windows(script_of(content=content, **told), tmp_path / "x", {}).content == written


def test_a_program_that_does_not_start_leaves_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class EmptyJob:
        def take(self, handle: int) -> None:
            raise AssertionError("there is no process")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(windows_process, "WindowsGroup", EmptyJob)

    def missing(*arguments: object, **options: object) -> None:
        assert options["creationflags"] == 0x8000004
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(subprocess, "Popen", missing)
    plan = prepare_on_windows(script_of(), tmp_path / "x", {"USERPROFILE": "/does/not/exist"})
    with pytest.raises(NotStarted) as refused:
        WindowsSystem().start(plan)
    assert (refused.value.error_code, closed) == ("DirectoryNotExists", [True])
