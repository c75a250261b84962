import pytest

from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.script import Script
from cloud_assistant.worker.execution.windows.script import (
    split_windows_command_line,
    windows_arguments,
    windows_command_line,
    windows_content,
    windows_environment,
)


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (b"dir\nver", b"@echo off\r\ndir\r\nver"),
        (b"dir\r\nver\r\n", b"@echo off\r\ndir\r\nver\r\n"),
        (b"@echo off\r\ndir", b"@echo off\r\ndir"),
        (b"  @ECHO on\ndir", b"  @ECHO on\r\ndir"),
        (b"echo hello\n", b"@echo off\r\necho hello\r\n"),
        (b"echo on the way\n", b"@echo off\r\necho on the way\r\n"),
        (b"echo off-line", b"@echo off\r\necho off-line"),
        (b"@echo off&cls", b"@echo off&cls"),
        (b"@echo off \t>nul", b"@echo off \t>nul"),
        (b"@echo off", b"@echo off"),
        (b"echoes.exe\n", b"@echo off\r\nechoes.exe\r\n"),
        (b"\xef\xbb\xbf@echo off\nver", b"@echo off\r\nver"),
        ("rem 你\n".encode(), b"@echo off\r\n@chcp 65001>nul\r\nrem \xe4\xbd\xa0\r\n"),
        (b"rem \xc4\n", b"@echo off\r\nrem \xc4\r\n"),
        (b"", b"@echo off\r\n"),
    ],
)
def test_a_batch_file_is_quiet_has_windows_line_ends_and_its_own_code_page(content: bytes, written: bytes) -> None:
    assert windows_content("RunBatScript", content) == written


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (b"Get-Date\nexit 3", b"\xef\xbb\xbfGet-Date\r\nexit 3"),
        (b"\xef\xbb\xbfGet-Date\r\n", b"\xef\xbb\xbfGet-Date\r\n"),
        ("'你'".encode(), b"\xef\xbb\xbf'\xe4\xbd\xa0'"),
        ("'你'\n".encode("gbk"), b"'\xc4\xe3'\r\n"),
        ("\ufeff'你'\n".encode("utf-16-le"), b"\xff\xfe'\0\x60\x4f'\0\n\0"),
    ],
)
def test_powershell_gets_a_mark_that_says_utf8_where_that_is_true(content: bytes, written: bytes) -> None:
    assert windows_content("RunPowerShellScript", content) == written


def test_the_policy_of_powershell_holds_for_this_process_alone() -> None:
    arguments = windows_arguments("RunPowerShellScript", r"C:\x\script.ps1", system_root=r"C:\Windows")
    assert arguments == [
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "-NoProfile",
        "-NonInteractive",
        "-ExecutionPolicy",
        "Bypass",
        "-File",
        r"C:\x\script.ps1",
    ]


def test_a_batch_file_runs_without_the_commands_of_the_registry() -> None:
    arguments = windows_arguments("RunBatScript", r"C:\x\script.bat", system_root=r"D:\Win")
    assert arguments == [r"D:\Win\System32\cmd.exe", "/d", "/s", "/c", r"C:\x\script.bat"]


def test_a_path_to_a_batch_file_stays_in_one_piece() -> None:
    arguments = windows_arguments("RunBatScript", r"C:\R&D (x)\script.bat", system_root=r"D:\Win")
    assert windows_command_line(arguments) == r'D:\Win\System32\cmd.exe /d /s /c ""C:\R&D (x)\script.bat""'
    assert windows_command_line([r"C:\a b\py.exe", "-c", "x y"]) == r'"C:\a b\py.exe" -c "x y"'


def test_a_launcher_keeps_its_backslashes() -> None:
    assert split_windows_command_line(r'"C:\Program Files\py.exe" -u D:\a\b "x"') == [
        r"C:\Program Files\py.exe",
        "-u",
        r"D:\a\b",
        "x",
    ]
    with pytest.raises(NotStarted, match="cannot be split"):
        split_windows_command_line('"open')


def test_the_environment_has_what_windows_needs_and_nothing_else_of_the_agent() -> None:
    script = Script(
        execution_id="x",
        instance_id="i",
        invoke_id="t",
        command_id="c",
        command_name="n",
        script_type="RunBatScript",
        content=b"",
        environment={"Path": r"C:\mine"},
    )
    inherited = {"SYSTEMROOT": r"C:\Windows", "path": r"C:\bin", "CLOUD_ASSISTANT_REDIS_URL": "secret"}
    assert windows_environment(script, inherited, {"CA_INVOKE_ID": "t"}) == {
        "SystemRoot": r"C:\Windows",
        "Path": r"C:\mine",
        "CA_INVOKE_ID": "t",
    }
