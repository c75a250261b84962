"""Write one file that was sent to this instance: whole or not at all, and never through a link.

The content goes into a new file beside the target, which then takes the target's place in one step. Whatever breaks
off in between leaves the old file, or none.
"""

import contextlib
import errno
import grp
import os
import pwd
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ...broker_config.clock import now_ms
from ...broker_config.error_codes import ErrorCode
from ...broker_config.messages import FileOrder
from ...broker_config.results import Outcome
from ...broker_config.states import ExecutionState
from ..execution.not_started import NotStarted
from ..execution.whole_write import write_whole
from .refusals import exists_already, is_folder, not_written

_MODE = re.compile(r"[0-7]{3,4}")
#: A folder made on the way to the target.
_FOLDER_MODE = 0o755
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NAME_BYTES = 255
_UNCHANGED = -1
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def write_file(order: FileOrder, permit: Callable[[str], None] = lambda _: None) -> Outcome:
    """Write the file and tell so.

    ``permit`` is given the folder that was really opened, and raises where nothing may be written: between a look at
    the path and its opening, somebody who may change a folder on the way can have made it lead elsewhere.

    Raises:
        NotStarted: with the code of the reason; the target is as it was.
    """
    started_ms = now_ms()
    _check_name(order.name)
    mode = _mode_of(order.mode)
    uid, gid = _uid_of(order.owner), _gid_of(order.group, order.owner)
    with _folder(order.target_directory) as folder:
        permit(_place_of(folder, order.target_directory))
        try:
            _refuse_folder(order, folder)
            _write(order, folder, mode, uid, gid)
        except FileExistsError as exc:
            raise exists_already(order) from exc
        except OSError as exc:
            raise not_written(order, exc) from exc
    return Outcome(state=ExecutionState.SUCCESS, started_ms=started_ms, finished_ms=now_ms())


def _write(order: FileOrder, folder: int, mode: int, uid: int, gid: int) -> None:
    """Write beside the target, then put it there.

    Raises:
        FileExistsError: the target appeared meanwhile and is not to be overwritten.
        OSError: anything else; nothing is left behind.
    """
    beside = f".{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(beside, flags, 0o600, dir_fd=folder)
    try:
        try:
            write_whole(descriptor, order.content)
            if uid != _UNCHANGED or gid != _UNCHANGED:
                os.fchown(descriptor, uid, gid)
            # After the change of owner, which takes set-user-id bits away.
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _put_in_place(beside, order, folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
    try:
        os.fsync(folder)
    except OSError as exc:
        # Some file systems of other machines force no folder to disk, and the file is there by now.
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _put_in_place(beside: str, order: FileOrder, folder: int) -> None:
    """Give the new file its name; without leave to overwrite, a file that is there by now stays.

    Raises:
        FileExistsError: there is one.
    """
    if not order.overwrite:
        try:
            os.link(beside, order.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            return
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
        # This file system has no second names for a file, so the check and the renaming are two steps.
        if _exists(order.name, folder):
            raise FileExistsError(order.name)
    os.rename(beside, order.name, src_dir_fd=folder, dst_dir_fd=folder)


@contextlib.contextmanager
def _folder(path: str) -> Iterator[int]:
    """Open the target's folder, made where it is missing; all that follows happens in this very folder.

    Raises:
        NotStarted: the path cannot be a folder.
    """
    if not path.startswith("/") or "\0" in path:
        raise NotStarted(ErrorCode.FILE_PATH_INVALID, f"the target folder {path!r} is not an absolute path")
    try:
        _make_folders(Path(path))
        folder = os.open(path, _OPEN_FOLDER)
    except (FileExistsError, NotADirectoryError) as exc:
        raise NotStarted(ErrorCode.FILE_PATH_INVALID, f"{path} is not a folder") from exc
    except OSError as exc:
        raise NotStarted(ErrorCode.FILE_CREATE_FAIL, f"cannot make or open {path}: {exc.strerror}") from exc
    try:
        yield folder
    finally:
        os.close(folder)


def _make_folders(path: Path) -> None:
    """Make what is missing of a path, each folder with our mode whatever mask the agent's service was given.

    Raises:
        OSError: something else is in the way, or cannot be written.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        try:
            one.mkdir(_FOLDER_MODE)
        except FileExistsError:
            continue
        folder = os.open(one, _OPEN_FOLDER | os.O_NOFOLLOW)
        try:
            # Whoever may change the folder above can have put another one there.
            if os.fstat(folder).st_uid == os.geteuid() and not os.listdir(folder):  # noqa: PTH208 - an open one
                os.fchmod(folder, _FOLDER_MODE)
        finally:
            os.close(folder)


def _place_of(folder: int, path: str) -> str:
    """Where an open folder is; on systems that do not tell, where its path leads now."""
    try:
        return str(Path(f"/proc/self/fd/{folder}").readlink())
    except OSError:
        return os.path.realpath(path)


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(name.encode()) > _NAME_BYTES:
        raise NotStarted(ErrorCode.FILE_NAME_INVALID, f"{name[:80]!r} cannot be the name of a file")


def _exists(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _refuse_folder(order: FileOrder, folder: int) -> None:
    """Refuse to replace a folder by a file.

    Raises:
        NotStarted: there is a folder of this name.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(order.name, dir_fd=folder).st_mode):
            raise is_folder(order)


def _mode_of(text: str) -> int:
    if not _MODE.fullmatch(text):
        raise NotStarted(ErrorCode.FILE_AUTHORITY_INVALID, f"the mode {text!r} is not three or four octal digits")
    return int(text, 8)


def _uid_of(owner: str) -> int:
    """The owner's number; no name leaves the file to the agent's user."""
    if not owner:
        return _UNCHANGED
    try:
        uid = pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError) as exc:
        raise NotStarted(ErrorCode.ACCOUNT_NOT_EXISTS, f"user {owner!r} does not exist on this instance") from exc
    if uid == os.geteuid():
        return _UNCHANGED
    if os.geteuid() != 0:
        raise NotStarted(
            ErrorCode.FILE_CREATE_FAIL,
            f"the agent is not root and cannot give a file to {owner!r}; leave the owner out",
        )
    return uid


def _gid_of(group: str, owner: str) -> int:
    """The group's number; no name means the owner's own group."""
    try:
        if group:
            return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError) as exc:
        raise NotStarted(ErrorCode.USER_GROUP_NOT_EXISTS, f"group {group!r} does not exist on this instance") from exc
    return pwd.getpwnam(owner).pw_gid if owner else _UNCHANGED
