"""One `assist up` per home: the lock, and the note of what runs, for whoever comes second."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ...broker_config.errors import Refused
from .private_files import write_private

_LOCK = "up.lock"
_NOTE = "up.json"


class RunningChild(msgspec.Struct):
    """A program that `assist up` has started; ``identity`` tells it from a later process with its pid."""

    name: str
    pid: int
    identity: str


class UpNote(msgspec.Struct):
    """What `assist up` says about itself in its home."""

    pid: int
    #: Everything has started and takes work.
    ready: bool = False
    redis: str = ""
    gateway: str = ""
    flower: str = ""
    instance_id: str = ""
    children: list[RunningChild] = msgspec.field(default_factory=list)


def read_note(home: Path) -> UpNote | None:
    """What the `assist up` of this home said last; None when it ended cleanly or never ran."""
    try:
        return msgspec.json.decode((home / _NOTE).read_bytes(), type=UpNote)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


@dataclass
class HomeLock:
    """The right to run the local system of a home, held until the block ends or the process dies."""

    home: Path
    #: What a run that was killed has left behind.
    left_behind: UpNote | None = None
    _descriptor: int = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            Refused: another `assist up` has it; the text says which, and where its system is.
        """
        path = self.home / _LOCK
        while True:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptor)
                raise Refused(_already_runs(self.home, read_note(self.home)), code="LocalSystemRunning") from None
            if _is_same_file(self._descriptor, path):
                break
            os.close(self._descriptor)  # its owner removed it between our open and our lock
        self.left_behind = read_note(self.home)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        (self.home / _NOTE).unlink(missing_ok=True)
        # Before it is let go: afterwards the file may be another's.
        (self.home / _LOCK).unlink(missing_ok=True)
        os.close(self._descriptor)

    def write(self, note: UpNote) -> None:
        """Say what runs now."""
        write_private(self.home / _NOTE, msgspec.json.encode(note).decode())


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _already_runs(home: Path, note: UpNote | None) -> str:
    if note is None:
        return f"another `assist up` is just starting on {home}; wait for it, or choose another home with --home"
    places = [f"Redis {note.redis}"] + [
        f"{name} {url}" for name, url in (("gateway", note.gateway), ("Flower", note.flower)) if url
    ]
    return (
        f"a local system already runs on {home} (pid {note.pid}: {', '.join(places)}). "
        f"Use it as it is, stop it with: kill {note.pid}, or start another one with --home"
    )
