"""The folders of executions on this instance's disk: scripts, what supervisors wrote, and results not yet delivered.

``<home>/spool/<execution id>/`` holds the files of the supervisor (see ``execution/record.py``), ``outcome.json`` when
a result could not be delivered at once, and ``delivered`` when it was and the script is kept on purpose. A folder is
removed only after Redis took its result, by the supervisor itself where that lives. ``<home>/spool-spare/`` has emptied
ones of supervisors that wait.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..broker_config.files.presence import is_there
from ..broker_config.files.private_file import put_in_place, sync_folder
from ..broker_config.ids import split_execution_id
from ..broker_config.programs.program_log import logger
from ..broker_config.results import Outcome
from ..broker_config.untrusted_input import UntrustedDecoder
from .execution.folder_removal import remove_folder
from .execution.record import CLAIM_FILE, OUTPUT_FILE, spare_root

_OUTCOME = "outcome.json"
_BEYOND = frozenset("/\\")
_DELIVERED = "delivered"

_log = logger("spool")
_decoder = UntrustedDecoder(msgspec.json.Decoder(Outcome))


class Spool:
    """The folders of one agent."""

    def __init__(self, root: Path, *, limit_bytes: int, keep_scripts: bool) -> None:
        self.root = root
        self._root_name = str(root)
        self._spares = Path(spare_root(str(root)))
        self._limit_bytes = limit_bytes
        self.keeps_scripts = keep_scripts

    def make(self) -> None:
        """Make the root where needed: passable for the users whose scripts lie below, readable for nobody else.

        Raises:
            OSError: it cannot be made.
        """
        self._make_root()
        # Supervisors of an earlier agent keep none: they end with their script.
        shutil.rmtree(self._spares, ignore_errors=True)
        self._spares.mkdir(mode=0o700, exist_ok=True)

    def _make_root(self) -> None:
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.root.chmod(0o711)

    def folder(self, execution_id: str) -> Path:
        """The folder of one execution, there or not.

        Raises:
            ValueError: what is named would lie elsewhere; names in the ledger may be anybody's.
        """
        if execution_id in ("", ".", "..") or not _BEYOND.isdisjoint(execution_id):
            raise ValueError(f"{execution_id[:200]!r} is not an execution; it would be a folder beyond the spool")
        return self.root / execution_id

    def folder_name(self, execution_id: str) -> str:
        """The same as text, for the way of every script: to make a path of it takes 10 µs."""
        return f"{self._root_name}/{execution_id}"

    def executions(self, *, untouched_seconds: float = 0) -> list[str]:
        """Executions whose result is not delivered yet, oldest folder first; only those untouched for that long."""
        limit_ns = time.time_ns() - int(untouched_seconds * 1e9)
        found = [entry for entry in self._folders() if not _is_delivered(entry)]
        ages = sorted((_modified_ns(entry), entry.name) for entry in found)
        return [name for modified_ns, name in ages if not untouched_seconds or 0 < modified_ns < limit_ns]

    def save(self, execution_id: str, outcome: Outcome) -> None:
        """Put a result on disk for good, so that it outlives the agent and the power.

        Raises:
            OSError: there is no room; nothing of it is left.
        """
        folder = self.folder(execution_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / (_OUTCOME + ".new")
        try:
            self._write(fresh, outcome)
        except OSError:
            with contextlib.suppress(OSError):  # the folder stays where there is something else in it
                fresh.unlink(missing_ok=True)
                folder.rmdir()
            raise
        put_in_place(fresh, folder / _OUTCOME)
        sync_folder(folder)
        sync_folder(self.root)

    @staticmethod
    def _write(fresh: Path, outcome: Outcome) -> None:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(outcome))
            file.flush()
            os.fsync(fd)

    def load(self, execution_id: str) -> Outcome | None:
        """Read a saved result; ``None`` when there is none or a power failure damaged it."""
        try:
            return _decoder.decode((self.folder(execution_id) / _OUTCOME).read_bytes())
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as exc:
            _log.warning("saved result cannot be read execution=%s: %s", execution_id, exc)
            return None

    def delivered(self, execution_id: str) -> None:
        """Remove what is not needed once Redis has the result."""
        folder = self.folder(execution_id)
        kept = self._kept_scripts(folder) if self.keeps_scripts else []
        if not kept:
            remove_folder(folder)
            return
        (folder / _DELIVERED).touch(mode=0o600)
        for path in folder.iterdir():
            if path not in kept and path.name != _DELIVERED:
                path.unlink(missing_ok=True)

    def trim(self) -> int:
        """Remove the oldest kept scripts until the limit is met; undelivered results are never removed.

        Returns the bytes in use.
        """
        sizes = {folder: _size_bytes(folder) for folder in self._folders()}
        used_bytes = sum(sizes.values())
        if used_bytes <= self._limit_bytes:
            return used_bytes
        kept = sorted(filter(_is_delivered, sizes), key=_modified_ns)
        for folder in kept:
            if used_bytes <= self._limit_bytes:
                break
            # One that cannot be removed takes its room still.
            with contextlib.suppress(OSError):
                remove_folder(folder)
                used_bytes -= sizes[folder]
        if used_bytes > self._limit_bytes:
            _log.warning("unreported results are over agent.spool_limit_bytes used_bytes=%d", used_bytes)
        return used_bytes

    def remove_abandoned(self) -> None:
        """Remove the emptied folders of supervisors that were killed; the name begins with the supervisor's pid."""
        for spare in self._spares.iterdir() if self._spares.is_dir() else ():
            # A look that needs no descriptor: a living one must not lose its folder because there is none left.
            if not Path(f"/proc/{spare.name.partition('-')[0]}").exists():
                shutil.rmtree(spare, ignore_errors=True)

    def free_bytes(self) -> int:
        """Free space on the disk of the spool, whose root is made again where somebody has removed it.

        Raises:
            OSError: it cannot be made.
        """
        try:
            return shutil.disk_usage(self.root).free
        except FileNotFoundError:
            self._make_root()
            return shutil.disk_usage(self.root).free

    def _folders(self) -> Iterator[Path]:
        for entry in os.scandir(self.root):
            if split_execution_id(entry.name) and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)

    @staticmethod
    def _kept_scripts(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        ours = {_OUTCOME, OUTPUT_FILE, CLAIM_FILE}
        return [path for path in folder.iterdir() if path.suffix != ".json" and path.name not in ours]


def _is_delivered(folder: Path) -> bool:
    """Tell whether the result of a folder was delivered; where the disk does not say, it counts as waiting."""
    mark = folder / _DELIVERED
    with contextlib.suppress(OSError):
        try:
            return is_there(mark)
        except PermissionError:
            # A script of our own user has closed it, and it is ours.
            folder.chmod(0o700)
            return is_there(mark)
    return False


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _size_bytes(folder: Path) -> int:
    """What is in a folder; one that is cleared away meanwhile, or that its script has closed to us, holds no more."""
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.rglob("*"):
            total += path.lstat().st_size
    return total
