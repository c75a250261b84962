"""Small files in which an agent leaves something for its next run, or for its own programs."""

from pathlib import Path

from ..broker_config.files.private_file import write_private_file
from .execution.disk_full import is_disk_full


def write_state_file(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, in one step; on a full disk over the old one, whose block is enough for it.

    Who makes room on a full disk comes through the agent, so the agent has to start without any. A power failure in
    the middle of that leaves a file that cannot be read.

    Raises:
        OSError: it cannot be written, or there is none yet and no room for it.
    """
    try:
        write_private_file(path, content)
    except OSError as exc:
        if not is_disk_full(exc) or not path.exists():
            raise
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()
