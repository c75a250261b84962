"""Files that only their owner may read, replaced in one step."""

from pathlib import Path

from ...broker_config.files.private_file import write_private_file


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600; a reader sees the old text or the new one, never a part."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private_file(path, text)


def read_or_empty(path: Path) -> str:
    """The text of a file without the blanks around it; ``""`` when there is no such file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
