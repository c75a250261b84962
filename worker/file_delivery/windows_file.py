"""Write one file that was sent to an instance that runs Windows: whole or not at all.

Rights come from the folder; owner, group and mode are words of other systems, and the control side fills them in
whatever the instance runs, so they are passed over.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from ...broker_config.clock import now_ms
from ...broker_config.error_codes import ErrorCode
from ...broker_config.messages import FileOrder
from ...broker_config.results import Outcome
from ...broker_config.states import ExecutionState
from ..execution.not_started import NotStarted
from .refusals import exists_already, is_folder, not_written

#: No name of a file may have them: Microsoft's "Naming Files, Paths, and Namespaces".
_FORBIDDEN = frozenset('<>:"/\\|?*') | {chr(number) for number in range(32)}
#: Devices, whatever extension stands behind them.
_PORTS = frozenset(f"{name}{number}" for name in ("COM", "LPT") for number in range(10))
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL"}) | _PORTS
_NAME_CHARACTERS = 255


def write_file(order: FileOrder, permit: Callable[[str], None] = lambda _: None) -> Outcome:
    """Write the file and tell so.

    ``permit`` is given the folder as it really is, links resolved, and raises where nothing may be written.

    Raises:
        NotStarted: with the code of the reason; the target is as it was.
    """
    started_ms = now_ms()
    _check_name(order.name)
    folder = _folder(order.target_directory)
    permit(str(folder))
    target = folder / order.name
    try:
        if target.is_dir():
            raise is_folder(order)
        if target.exists() and not order.overwrite:
            raise exists_already(order)
        _write(order, target)
    except FileExistsError as exc:
        raise exists_already(order) from exc
    except OSError as exc:
        raise not_written(order, exc) from exc
    return Outcome(state=ExecutionState.SUCCESS, started_ms=started_ms, finished_ms=now_ms())


def _write(order: FileOrder, target: Path) -> None:
    """Write beside the target, then put it there.

    Raises:
        FileExistsError: the target appeared meanwhile and is not to be overwritten.
        OSError: anything else, such as a target that somebody has open; nothing is left behind.
    """
    beside = target.with_name(f"{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.write(order.content)
            file.flush()
            os.fsync(file.fileno())
        if order.overwrite:
            beside.replace(target)
        else:
            # On Windows this fails where the name is taken.
            beside.rename(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def _folder(path: str) -> Path:
    """Make the folder where it is missing, and return where it really is.

    Raises:
        NotStarted: the path cannot be a folder.
    """
    if not PureWindowsPath(path).is_absolute() or "\0" in path:
        raise NotStarted(
            ErrorCode.FILE_PATH_INVALID, rf"the target folder {path!r} is not an absolute path such as C:\files"
        )
    try:
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve(strict=True)
    except FileExistsError as exc:
        raise NotStarted(ErrorCode.FILE_PATH_INVALID, f"{path} is not a folder") from exc
    except OSError as exc:
        raise NotStarted(ErrorCode.FILE_CREATE_FAIL, f"cannot make or open {path}: {exc.strerror}") from exc


def _check_name(name: str) -> None:
    is_device = name.partition(".")[0].rstrip(" ").upper() in _DEVICES
    is_cut = name != name.rstrip(". ")
    if not name or is_device or is_cut or _FORBIDDEN & set(name) or len(name) > _NAME_CHARACTERS:
        raise NotStarted(ErrorCode.FILE_NAME_INVALID, f"{name[:80]!r} cannot be the name of a file on Windows")
