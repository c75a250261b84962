"""Put a script on disk so that its user, and nobody else, can read it."""
# Every script passes here: paths as strings save a tenth of a millisecond.
# ruff: noqa: PTH101, PTH102, PTH108

import errno
import os
import stat
from dataclasses import dataclass

from .account import Account
from .not_started import EXECUTION_EXCEPTION, NotStarted

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: The owner reads it, and may execute it again through ``$0``.
_SCRIPT_MODE = 0o500
#: Others may pass through to a file they own, but neither list nor create: the records in there are the agent's.
_PASSABLE_FOLDER_MODE = 0o711
_PRIVATE_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """Where a script is; ``memory_fd`` holds it instead when the disk was full, and then ``path`` does not exist."""

    path: str
    memory_fd: int | None
    notes: list[str]


def write_script_file(folder: str, name: str, content: bytes, account: Account) -> ScriptFile:
    """Create the folder where needed, and in it a new file that belongs to ``account``.

    The file is always a new one, never followed through a link; a full disk turns it into a file in memory, with a
    note, since a full disk is what many scripts are sent to repair.

    Raises:
        NotStarted: the folder or the file cannot be made, or the file is there already.
    """
    path = f"{folder}/{name}"
    try:
        _make_folder(folder, account)
        _write_new_file(path, content, account)
    except FileExistsError:
        raise NotStarted(
            EXECUTION_EXCEPTION, f"{path} exists: this execution was prepared before and is not started twice"
        ) from None
    except OSError as exc:
        if exc.errno not in _DISK_FULL:
            raise NotStarted(
                EXECUTION_EXCEPTION, f"cannot write the script to {path}: {exc.strerror}; check the agent's home"
            ) from exc
        note = f"the disk under {folder} is full ({exc.strerror}): the script ran from memory, not from a file"
        return ScriptFile(path, _memory_file(name, content, account), [note])
    return ScriptFile(path, None, [])


def _make_folder(folder: str, account: Account) -> None:
    try:
        os.mkdir(folder, _PRIVATE_FOLDER_MODE)
    except FileExistsError:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise NotStarted(EXECUTION_EXCEPTION, f"{folder} is not a folder of the agent's user; remove it") from None
        os.chmod(folder, _PRIVATE_FOLDER_MODE)
    if not account.is_own:
        os.chmod(folder, _PASSABLE_FOLDER_MODE)


def _write_new_file(path: str, content: bytes, account: Account) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, _SCRIPT_MODE)
    try:
        _fill(fd, content, account)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _memory_file(name: str, content: bytes, account: Account) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.fchmod(fd, _SCRIPT_MODE)
        _fill(fd, content, account)
    except OSError as exc:
        os.close(fd)
        raise NotStarted(EXECUTION_EXCEPTION, f"neither disk nor memory has room for the script: {exc}") from exc
    return fd


def _fill(fd: int, content: bytes, account: Account) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    if not account.is_own:
        os.fchown(fd, account.uid, account.gid)
