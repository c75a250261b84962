"""The folder of an execution: made by its supervisor, which alone writes there, and emptied when its result is safe."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH208

import contextlib
import os
import stat

from ..not_started import EXECUTION_EXCEPTION, NotStarted

_PRIVATE_MODE = 0o700
#: Others may pass through to a file they own, but neither list nor create: the records in there are the agent's.
_PASSABLE_MODE = 0o711


class ScriptFolder:
    """The folder of one supervisor's executions, one after the other.

    An emptied one is kept for the next execution, beside the folder in which it was: to rename it there and back costs
    a sixth of removing it and making another. Only one that was private all its life is kept, so that no other user can
    have been in it.
    """

    __slots__ = ("_is_private", "_name", "_spare")

    def __init__(self, name: str) -> None:
        """``name`` is nobody else's."""
        self._name = name
        self._spare = ""
        self._is_private = False

    def make(self, path: str, *, is_passable: bool) -> None:
        """Have an empty folder there; one that is there already must be ours.

        Raises:
            NotStarted: something else is there.
            OSError: it cannot be made.
        """
        self._is_private = False
        if not self._take_spare(path):
            _make(path)
        if is_passable:
            os.chmod(path, _PASSABLE_MODE)
        self._is_private = not is_passable

    def empty(self, path: str) -> None:
        """Remove what is in it, and keep it for the next execution where that may be."""
        try:
            for name in os.listdir(path):
                os.unlink(f"{path}/{name}")
            if not self._keep(path):
                os.rmdir(path)
        except OSError:
            import shutil  # lazy: only a script that made folders beside itself needs it

            shutil.rmtree(path, ignore_errors=True)

    def leave(self) -> None:
        """Remove what was kept."""
        if self._spare:
            with contextlib.suppress(OSError):
                os.rmdir(self._spare)
            self._spare = ""

    def _take_spare(self, path: str) -> bool:
        spare, self._spare = self._spare, ""
        if not spare:
            return False
        try:
            os.rename(spare, path)
        except OSError:
            # Whoever makes the folder in the ordinary way finds out what is wrong with that place.
            with contextlib.suppress(OSError):
                os.rmdir(spare)
            return False
        return True

    def _keep(self, path: str) -> bool:
        if not self._is_private or self._spare:
            return False
        spare = f"{spare_root(os.path.dirname(path))}/{self._name}"  # noqa: PTH120
        try:
            os.rename(path, spare)
        except OSError:
            return False
        self._spare = spare
        return True


def spare_root(folder: str) -> str:
    """Where the emptied folders of executions in ``folder`` are kept, if it is there."""
    return f"{folder}-spare"


def _make(path: str) -> None:
    try:
        os.mkdir(path, _PRIVATE_MODE)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise NotStarted(EXECUTION_EXCEPTION, f"{path} is not a folder of the agent's user; remove it") from None
        os.chmod(path, _PRIVATE_MODE)
