"""A Windows job object around one script: what it starts belongs to it, and ends with it.

All of Windows is behind ``call``; the rest is arithmetic on structures and can be tested anywhere. Run under Wine,
never on a real Windows.
"""

import ctypes
from typing import Any

_KILL_ON_CLOSE = 0x2000
_EXTENDED_LIMIT_INFORMATION = 9
_BASIC_ACCOUNTING_INFORMATION = 1


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class _Accounting(ctypes.Structure):
    _fields_ = (
        ("TotalUserTime", ctypes.c_int64),
        ("TotalKernelTime", ctypes.c_int64),
        ("ThisPeriodTotalUserTime", ctypes.c_int64),
        ("ThisPeriodTotalKernelTime", ctypes.c_int64),
        ("TotalPageFaultCount", ctypes.c_uint32),
        ("TotalProcesses", ctypes.c_uint32),
        ("ActiveProcesses", ctypes.c_uint32),
        ("TotalTerminatedProcesses", ctypes.c_uint32),
    )


def call(library: str, name: str, *arguments: Any, zero_is_success: bool = False) -> int:
    """Call one function of Windows and return its result.

    Most functions return zero for a failure; those of ntdll return a status, which is zero for success.

    Raises:
        OSError: the function failed; with Windows' own words, or the status.
    """
    windows: Any = ctypes
    function = getattr(windows.WinDLL(library, use_last_error=True), name)
    function.restype = ctypes.c_uint32 if zero_is_success else ctypes.c_void_p
    result = function(*arguments) or 0
    if zero_is_success and result:
        raise OSError(f"{name} failed with status {result:#010x}")
    if not zero_is_success and not result:
        raise windows.WinError(windows.get_last_error())
    return int(result)


class WindowsGroup:
    """One job; whatever is left in it dies when this process does, unless it was released."""

    def __init__(self) -> None:
        self._handle: ctypes.c_void_p | None = ctypes.c_void_p(call("kernel32", "CreateJobObjectW", None, None))
        self._set_limits(_KILL_ON_CLOSE)

    def take(self, process_handle: int) -> None:
        """Put a process that was created suspended into the job and let it run.

        Suspended, so that it cannot start anything outside the job first.
        """
        handle = ctypes.c_void_p(process_handle)
        call("kernel32", "AssignProcessToJobObject", self._open_handle(), handle)
        call("ntdll", "NtResumeProcess", handle, zero_is_success=True)

    def process_count(self) -> int:
        """Return how many processes of the job live."""
        found = _Accounting()
        call(
            *("kernel32", "QueryInformationJobObject", self._open_handle(), _BASIC_ACCOUNTING_INFORMATION),
            *(ctypes.byref(found), ctypes.sizeof(found), None),
        )
        return int(found.ActiveProcesses)

    def ask_to_end(self) -> bool:
        """Return False: Windows has no way to ask a background process politely."""
        return False

    def kill(self, exit_code: int = 1) -> None:
        """End every process of the job at once; one that was given up has none."""
        if self._handle is not None:
            call("kernel32", "TerminateJobObject", self._open_handle(), exit_code)

    def release(self) -> None:
        """Let what is left in the job outlive it."""
        self._set_limits(0)

    def close(self) -> None:
        """Close the job, which ends what is left in it unless it was released; safe to call twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            call("kernel32", "CloseHandle", handle)

    def _set_limits(self, flags: int) -> None:
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = flags
        call(
            *("kernel32", "SetInformationJobObject", self._open_handle(), _EXTENDED_LIMIT_INFORMATION),
            *(ctypes.byref(limits), ctypes.sizeof(limits)),
        )

    def _open_handle(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise ValueError("the job object is closed")
        return self._handle
