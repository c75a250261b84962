r"""Make files and folders on Windows that nobody but their owner, administrators and the system may open.

Permissions of other systems mean nothing there: what is made takes those of its folder, and below ``C:\ProgramData``
every user of the machine may read what is in there. Run under Wine, never on a real Windows.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Nothing is taken from the folder above; everything for the owner (OW), administrators (BA), the system (SY).
_FILE_RIGHTS = "D:P(A;;FA;;;OW)(A;;FA;;;BA)(A;;FA;;;SY)"
#: The same, also for what is made inside.
_FOLDER_RIGHTS = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)"
_REVISION = 1
_GENERIC_WRITE = 0x40000000
_CREATE_NEW = 1
_ORDINARY = 0x80
_INVALID_HANDLE = ctypes.c_void_p(-1).value


class _SecurityAttributes(ctypes.Structure):
    _fields_ = (
        ("nLength", ctypes.c_uint32),
        ("lpSecurityDescriptor", ctypes.c_void_p),
        ("bInheritHandle", ctypes.c_int),
    )


def create_private_file(path: Path) -> int:
    """Make a new file and return its descriptor, open for writing.

    Raises:
        OSError: it cannot be made, or is there.
    """
    import msvcrt  # lazy: other systems have none

    with _attributes(_FILE_RIGHTS) as attributes:
        create = _kernel().CreateFileW
        create.restype = ctypes.c_void_p
        handle = create(str(path), _GENERIC_WRITE, 0, ctypes.byref(attributes), _CREATE_NEW, _ORDINARY, None)
        if handle in (None, _INVALID_HANDLE):
            raise _last_error(path)
    open_handle: Any = msvcrt.open_osfhandle  # type: ignore[attr-defined,unused-ignore]
    return int(open_handle(handle, os.O_WRONLY))


def make_private_folder(path: Path) -> None:
    """Make a folder with those above it; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _attributes(_FOLDER_RIGHTS) as attributes:
        if not _kernel().CreateDirectoryW(str(path), ctypes.byref(attributes)) and not path.is_dir():
            raise _last_error(path)


@contextmanager
def _attributes(rights: str) -> Iterator[_SecurityAttributes]:
    windows: Any = ctypes
    convert = windows.WinDLL("advapi32", use_last_error=True).ConvertStringSecurityDescriptorToSecurityDescriptorW
    descriptor = ctypes.c_void_p()
    if not convert(rights, _REVISION, ctypes.byref(descriptor), None):
        raise windows.WinError(windows.get_last_error())
    try:
        yield _SecurityAttributes(ctypes.sizeof(_SecurityAttributes), descriptor, 0)
    finally:
        _kernel().LocalFree(descriptor)


def _kernel() -> Any:
    windows: Any = ctypes
    return windows.WinDLL("kernel32", use_last_error=True)


def _last_error(path: Path) -> OSError:
    windows: Any = ctypes
    found: OSError = windows.WinError(windows.get_last_error())
    found.filename = str(path)
    return found
