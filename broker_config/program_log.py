"""How our programs log: one line per event, ``time level message key=value``; never content, output or secrets.

To stderr for people, and where a file is given as JSON lines for machines, bounded in size.
"""

import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path

LOGGER_NAME = "cloud_assistant"


def logger(part: str) -> logging.Logger:
    """The logger of one part of a program."""
    return logging.getLogger(f"{LOGGER_NAME}.{part}")


def set_up(*, debug: bool = False, file: Path | None = None, file_limit_bytes: int = 0, file_count: int = 5) -> None:
    """Send our lines, and warnings of libraries, to stderr and to an optional rotated file."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(_LineFormatter())
    root.addHandler(to_stderr)
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        to_file = logging.handlers.RotatingFileHandler(
            file, maxBytes=file_limit_bytes // max(1, file_count), backupCount=file_count - 1, encoding="utf-8"
        )
        to_file.setFormatter(_JsonFormatter())
        root.addHandler(to_file)
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(logging.DEBUG if debug else logging.INFO)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_time(record)} {record.levelname} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname, "part": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
