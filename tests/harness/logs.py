"""The logs of everything a test started, so that a failing test can show their last lines."""

from pathlib import Path

_logs: dict[Path, str] = {}

#: Enough to see a traceback, little enough to read below a failed test.
TAIL_LINES = 40


def register(name: str, path: Path) -> None:
    """Show this log when the running test fails."""
    _logs[path] = name


def forget_all() -> None:
    _logs.clear()


def tail_of(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, read as text whatever its bytes; empty if there is no file yet."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    return "\n".join(content[-200_000:].decode("utf-8", "replace").splitlines()[-lines:])


def tails() -> list[tuple[str, str]]:
    """(title, last lines) of each registered log that has any."""
    return [(f"{name}: {path}", tail) for path, name in _logs.items() if (tail := tail_of(path))]
