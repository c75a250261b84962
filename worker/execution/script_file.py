"""Put a script on disk so that its user, and nobody else, can read it."""
# Every script passes here: paths as strings save a tenth of a millisecond.
# ruff: noqa: PTH108

import os

from .disk_full import is_disk_full
from .not_started import EXECUTION_EXCEPTION, NotStarted
from .plan import Credentials, Plan
from .whole_write import write_whole

#: The owner reads it, and may execute it again through ``$0``.
SCRIPT_MODE = 0o500


def write_script_file(plan: Plan, *, overwrites: bool = False) -> None:
    """Create the plan's script, a file that belongs to its user, in the folder that is there.

    The file is a new one, never followed through a link, unless the caller knows that an empty one of its own is there
    (``overwrites``). A full disk turns it into a file in memory (``script_fd``), with a note, since a full disk is
    what many scripts are sent to repair.

    Raises:
        NotStarted: the file cannot be made, or is there already.
    """
    path = plan.script_path
    try:
        _write_file(path, plan.content, plan.credentials, overwrites=overwrites)
    except FileExistsError:
        raise NotStarted(
            EXECUTION_EXCEPTION, f"{path} exists: this execution was prepared before and is not started twice"
        ) from None
    except OSError as exc:
        if not is_disk_full(exc):
            raise NotStarted(
                EXECUTION_EXCEPTION, f"cannot write the script to {path}: {exc.strerror}; check the agent's home"
            ) from exc
        keep_in_memory(plan, exc)


def keep_in_memory(plan: Plan, problem: OSError) -> None:
    """Put the script into a file in memory, since the disk has no room.

    Raises:
        NotStarted: memory has none either, or the script can run from a named file only.
    """
    note = f"the disk under {plan.folder} is full ({problem.strerror}): the script ran from memory, not from a file"
    if plan.script_path.endswith(".ps1"):
        raise NotStarted(EXECUTION_EXCEPTION, f"{note}; PowerShell runs files named .ps1 only: free some space")
    plan.script_fd = _memory_file(plan.script_path.rpartition("/")[2], plan.content, plan.credentials)
    plan.notes.append(note)


def _write_file(path: str, content: bytes, owner: Credentials | None, *, overwrites: bool) -> None:
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags if overwrites else flags | os.O_CREAT | os.O_EXCL, SCRIPT_MODE)
    try:
        _fill(fd, content, owner)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _memory_file(name: str, content: bytes, owner: Credentials | None) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.fchmod(fd, SCRIPT_MODE)
        _fill(fd, content, owner)
    except OSError as exc:
        os.close(fd)
        raise NotStarted(EXECUTION_EXCEPTION, f"neither disk nor memory has room for the script: {exc}") from exc
    return fd


def _fill(fd: int, content: bytes, owner: Credentials | None) -> None:
    write_whole(fd, content)
    if owner is not None:
        os.fchown(fd, owner.uid, owner.gid)
