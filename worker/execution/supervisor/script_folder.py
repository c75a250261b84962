"""The folder of an execution: made by its supervisor, which alone writes there, and emptied when its result is safe."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH120, PTH200, PTH208

import contextlib
import errno
import fcntl
import os
import stat

from ..not_started import EXECUTION_EXCEPTION, NotStarted
from ..record import CLAIM_FILE, STARTED_FILE, spare_root
from ..script_file import SCRIPT_MODE

_PRIVATE_MODE = 0o700
#: Others may pass through to a file they own, but neither list nor create: the records in there are the agent's.
_PASSABLE_MODE = 0o711
#: A claim has always this many bytes, so that a shorter one leaves nothing of a longer one.
_CLAIM_BYTES = 1024
#: How file systems say that they know no second names.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ScriptFolder:
    """The folder of one supervisor's executions, one after the other.

    An emptied one is kept for the next execution, beside the folder in which it was, and the files of script and claim
    with it: making and removing files costs up to a millisecond for each execution, since some file systems go
    around what was removed in the last minutes. Only a folder that was made private, and that no script has opened, is
    kept, so that no other user is in it.
    """

    __slots__ = ("_claim_fd", "_is_private", "_name", "_script_name", "_spare")

    def __init__(self, name: str) -> None:
        """``name`` is nobody else's."""
        self._name = name
        self._spare = ""
        self._is_private = False
        self._claim_fd = -1
        #: The file of the last script, which is there and empty.
        self._script_name = ""

    def make(self, path: str, *, is_passable: bool) -> None:
        """Have a folder there in which nothing of another execution is; one that is there already must be ours.

        Raises:
            NotStarted: something else is there.
            OSError: it cannot be made.
        """
        self._is_private = False
        if not self._take_spare(path):
            self._forget_files()
            _make(path)
        if is_passable:
            os.chmod(path, _PASSABLE_MODE)
        self._is_private = not is_passable

    def claim(self, path: str, record: bytes) -> None:
        """Write down who runs this execution, unless somebody has done so.

        Raises:
            FileExistsError: somebody has.
            OSError: the disk takes nothing.
        """
        if self._claim_fd < 0:
            self._claim_fd = os.open(f"{path}/{CLAIM_FILE}", _NEW_FILE, 0o600)
        self.complete_claim(record)
        try:
            os.link(f"{path}/{CLAIM_FILE}", f"{path}/{STARTED_FILE}", follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            self._claim_without_link(path, record)

    def _claim_without_link(self, path: str, record: bytes) -> None:
        """Do the same on a file system where a file has one name; the folder is not kept then."""
        os.unlink(f"{path}/{CLAIM_FILE}")
        os.close(self._claim_fd)
        self._claim_fd = -1
        self._claim_fd = os.open(f"{path}/{STARTED_FILE}", _NEW_FILE, 0o600)
        self.complete_claim(record)

    def complete_claim(self, record: bytes) -> None:
        """Write more into the claim.

        Raises:
            OSError: the disk takes nothing.
        """
        os.pwrite(self._claim_fd, record.ljust(_CLAIM_BYTES), 0)

    def may_overwrite(self, script_name: str) -> bool:
        """Tell whether an empty file of ours stands where a script of this name is to be, and nobody else has it."""
        found, self._script_name = self._script_name, script_name
        return found == script_name

    def empty(self, path: str) -> None:
        """Remove what is in it, and keep it for the next execution where that may be."""
        try:
            if not (self._is_private and self._claim_fd >= 0 and self._keep(path)):
                self._remove(path)
        except OSError:
            self._remove(path)

    def let_go(self) -> None:
        """Leave the folder to somebody else: nothing of it is ours any more."""
        self._forget_files()

    def leave(self) -> None:
        """Remove what was kept."""
        self._forget_files()
        if self._spare:
            self._remove(self._spare)
            self._spare = ""

    def _take_spare(self, path: str) -> bool:
        spare, self._spare = self._spare, ""
        if not spare:
            return False
        try:
            os.rename(spare, path)
        except OSError:
            # Whoever makes the folder in the ordinary way finds out what is wrong with that place.
            self._remove(spare)
            return False
        return True

    def _keep(self, path: str) -> bool:
        """Put the folder away with its empty files; false, or an error, where it cannot be used again."""
        found = os.lstat(path)
        if found.st_mode != stat.S_IFDIR | _PRIVATE_MODE or found.st_uid != os.geteuid():
            # The script has opened it: somebody may be inside who could put another script in the place of the next.
            return False
        names = os.listdir(path)
        script_name, self._script_name = self._script_name, ""
        for name in names:
            if name == script_name and _make_empty(f"{path}/{name}"):
                self._script_name = name
            elif name != CLAIM_FILE:
                os.unlink(f"{path}/{name}")
        if CLAIM_FILE not in names:
            return False
        spare = f"{spare_root(os.path.dirname(path))}/{self._name}"
        os.rename(path, spare)
        self._spare = spare
        return True

    def _remove(self, path: str) -> None:
        self._forget_files()
        try:
            for name in os.listdir(path):
                os.unlink(f"{path}/{name}")
            os.rmdir(path)
        except OSError:
            from pathlib import Path  # lazy: only a script that made folders beside itself needs them

            from ..folder_removal import remove_folder  # lazy: as before

            with contextlib.suppress(OSError):  # the agent finds it later, and says why it cannot be removed
                remove_folder(Path(path))

    def _forget_files(self) -> None:
        self._script_name = ""
        if self._claim_fd >= 0:
            os.close(self._claim_fd)
            self._claim_fd = -1


def _make_empty(path: str) -> bool:
    """Empty a script's file for the next one; false where that is not ours to do.

    That is so when the script has changed or linked it, or when somebody still reads it: a shell reads on as it runs,
    and there are ways to have one read the file that is no process of the script's.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        # An ordinary user may not write to a file that they may only read; links are not followed.
        return False
    try:
        found = os.fstat(fd)
        if found.st_mode != stat.S_IFREG | SCRIPT_MODE or found.st_nlink != 1 or found.st_uid != os.geteuid():
            return False
        # The kernel grants it to the only one who has the file open.
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        os.ftruncate(fd, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _make(path: str) -> None:
    try:
        os.mkdir(path, _PRIVATE_MODE)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise NotStarted(EXECUTION_EXCEPTION, f"{path} is not a folder of the agent's user; remove it") from None
        os.chmod(path, _PRIVATE_MODE)
