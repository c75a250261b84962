"""A note outside of Redis of how far the audit had come: who cuts its end off in Redis cannot change it."""

import os
from pathlib import Path

import msgspec

from ..settings_table import Settings

FILE_NAME = "audit-anchor.json"


class Anchor(msgspec.Struct, frozen=True):
    """An entry that was there: its number, its MAC and its place in the stream."""

    number: int
    mac: str
    stream_id: str
    noted_ms: int = 0


def anchor_path(settings: Settings) -> Path | None:
    """Where this program's note is; ``None`` without a home."""
    return Path(settings.home) / FILE_NAME if settings.home else None


def read_anchor(path: Path) -> Anchor | None:
    """Read the note; ``None`` where there is none.

    Raises:
        OSError, msgspec.MsgspecError: it is there and cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Anchor)
    except FileNotFoundError:
        return None


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Replace the note in one step and for good: an empty one after a power failure would look like somebody's work.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(anchor))
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
