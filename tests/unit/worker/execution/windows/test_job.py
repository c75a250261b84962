"""The job object, with Windows itself replaced by a list of the calls that would have been made."""

import ctypes
from typing import Any

import pytest

from cloud_assistant.worker.execution.windows import job as windows_job
from cloud_assistant.worker.execution.windows.job import WindowsGroup

HANDLE = 0x1234_5678_9ABC


class FakeWindows:
    """Records calls, and answers them as a job with two processes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.limit_flags: list[int] = []

    def call(self, library: str, name: str, *arguments: Any, zero_is_success: bool = False) -> int:
        self.calls.append((library, name, *(str(getattr(argument, "value", "")) for argument in arguments[:2])))
        assert zero_is_success == (library == "ntdll")
        if name == "CreateJobObjectW":
            return HANDLE
        assert arguments[0].value in (HANDLE, 77)
        if name == "SetInformationJobObject":
            assert arguments[1] == 9
            limits = arguments[2]._obj
            assert arguments[3] == ctypes.sizeof(limits)
            self.limit_flags.append(limits.BasicLimitInformation.LimitFlags)
        if name == "QueryInformationJobObject":
            assert arguments[1] == 1
            arguments[2]._obj.ActiveProcesses = 2
        return 1


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> FakeWindows:
    fake = FakeWindows()
    monkeypatch.setattr(windows_job, "call", fake.call)
    return fake


def test_a_job_ends_its_processes_when_its_owner_dies_unless_released(windows: FakeWindows) -> None:
    group = WindowsGroup()
    assert windows.limit_flags == [0x2000]
    group.release()
    assert windows.limit_flags == [0x2000, 0]


def test_a_process_is_in_the_job_before_it_runs(windows: FakeWindows) -> None:
    WindowsGroup().take(77)
    assert [name for _, name, *_ in windows.calls] == [
        "CreateJobObjectW",
        "SetInformationJobObject",
        "AssignProcessToJobObject",
        "NtResumeProcess",
    ]


def test_a_job_counts_and_kills(windows: FakeWindows) -> None:
    group = WindowsGroup()
    assert group.process_count() == 2
    group.kill()
    assert windows.calls[-1][1] == "TerminateJobObject"


def test_a_job_is_closed_once(windows: FakeWindows) -> None:
    group = WindowsGroup()
    group.close()
    group.close()
    assert [name for _, name, *_ in windows.calls].count("CloseHandle") == 1
    with pytest.raises(ValueError, match="closed"):
        group.process_count()


def test_the_structures_have_the_sizes_that_64_bit_windows_documents() -> None:
    assert ctypes.sizeof(windows_job._BasicLimits) == 64
    assert ctypes.sizeof(windows_job._ExtendedLimits) == 144
    assert ctypes.sizeof(windows_job._Accounting) == 48


class FakeLibrary:
    """Stands for a DLL whose every function returns the same."""

    def __init__(self, result: int | None) -> None:
        self._result = result

    def __getattr__(self, name: str) -> Any:
        def function(*arguments: object) -> int | None:
            return self._result

        return function


@pytest.mark.parametrize(("result", "zero_is_success"), [(5, False), (0, True), (None, True)])
def test_a_call_returns_what_means_success(
    monkeypatch: pytest.MonkeyPatch, result: int | None, zero_is_success: bool
) -> None:
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: FakeLibrary(result), raising=False)
    assert windows_job.call("library", "Name", zero_is_success=zero_is_success) == (result or 0)


def test_a_failed_call_raises_windows_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: FakeLibrary(None), raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 5, raising=False)
    monkeypatch.setattr(ctypes, "WinError", lambda code: OSError(f"error {code}"), raising=False)
    with pytest.raises(OSError, match="error 5"):
        windows_job.call("kernel32", "TerminateJobObject")
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: FakeLibrary(0xC0000022), raising=False)
    with pytest.raises(OSError, match="0xc0000022"):
        windows_job.call("ntdll", "NtResumeProcess", zero_is_success=True)
