"""How our programs log: one line per event, ``time level message key=value``; never content, output or secrets.

To stderr for people, and where a file is given as JSON lines for machines, bounded in size.
"""

import contextlib
import json
import logging
import logging.handlers
import re
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from ..clock import now_ms
from ..files.private_file import make_private_folder
from .printable import clean_json

LOGGER_NAME = "cloud_assistant"
#: Until then a file that could not be moved away is written to as it is.
_ROLLOVER_PAUSE_SECONDS = 5.0


def logger(part: str) -> logging.Logger:
    """The logger of one part of a program."""
    return logging.getLogger(f"{LOGGER_NAME}.{part}")


def set_up(
    *,
    debug: bool = False,
    file: Path | None = None,
    file_limit_bytes: int = 0,
    file_count: int = 5,
    file_days: float = 30.0,
    to_file_alone: bool = False,
) -> None:
    """Send our lines, and warnings of libraries, to stderr and to an optional file that is bounded in size and age."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    if not to_file_alone:
        to_stderr = logging.StreamHandler(sys.stderr)
        to_stderr.setFormatter(_LineFormatter())
        root.addHandler(to_stderr)
    if file is not None:
        make_private_folder(file.parent)
        to_file = BoundedLogFile(
            file, limit_bytes=file_limit_bytes // max(1, file_count), count=file_count, days=file_days
        )
        to_file.setFormatter(_JsonFormatter())
        root.addHandler(to_file)
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(logging.DEBUG if debug else logging.INFO)


class BoundedLogFile(logging.handlers.RotatingFileHandler):
    """A log of ``count`` files, of which none gets larger than ``limit_bytes`` or is kept much longer than ``days``."""

    def __init__(self, path: Path, *, limit_bytes: int, count: int, days: float) -> None:
        super().__init__(path, maxBytes=limit_bytes, backupCount=count - 1, encoding="utf-8", delay=True)
        self._path = path
        self._keep_seconds = days * 86_400
        #: A file that covers more than its share of the time is closed, however small it is.
        self._span_seconds = self._keep_seconds / max(1, count)
        self._begun_seconds: float | None = None
        self._not_before_seconds = 0.0

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the name is the library's
        """Whether the file is full or has been written to for long enough."""
        if record.created < self._not_before_seconds:
            return False
        if self._begun_seconds is None:
            self._begun_seconds = _first_moment(self._path) or record.created
            self._remove_old(record.created)
        is_old = record.created - self._begun_seconds > self._span_seconds and self._path.exists()
        if is_old or super().shouldRollover(record):
            self._begun_seconds = record.created
            self._remove_old(record.created)
            return True
        return False

    def doRollover(self) -> None:  # noqa: N802 - as above
        """Begin a new file; the older ones move up as far as there is no gap.

        Windows moves no file that somebody has open. Then the lines go on in this one, and all of that is tried again
        a little later.
        """
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        older = [self._path.with_name(f"{self._path.name}.{number}") for number in range(1, self.backupCount + 1)]
        names = [self._path, *older[: next((n + 1 for n, path in enumerate(older) if not path.exists()), len(older))]]
        try:
            for source, target in reversed(list(pairwise(names))):
                source.replace(target)
        except FileNotFoundError:
            return
        except OSError:
            self._not_before_seconds = now_ms() / 1000 + _ROLLOVER_PAUSE_SECONDS
            self._begun_seconds = None

    def _remove_old(self, now_seconds: float) -> None:
        for path in self._path.parent.glob(self._path.name + ".*"):
            # One that somebody has open, which Windows keeps, goes the next time.
            with contextlib.suppress(OSError):
                if now_seconds - path.stat().st_mtime > self._keep_seconds:
                    path.unlink()


def _first_moment(path: Path) -> float | None:
    """When the first line of a log was written; ``None`` when there is none that says so."""
    try:
        with path.open(encoding="utf-8") as file:
            return datetime.fromisoformat(json.loads(file.readline())["time"]).timestamp()
    except (OSError, ValueError, KeyError, TypeError):
        return None


#: What others wrote may be in a message: it must neither make a line of its own nor steer the terminal of a reader.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
#: A traceback has lines of its own, and the words of others at their ends.
_CONTROL_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_time(record)} {record.levelname} {_CONTROL.sub(_escaped, record.getMessage())}"
        if not record.exc_info:
            return text
        return f"{text}\n{_CONTROL_IN_LINES.sub(_escaped, self.formatException(record.exc_info))}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname, "part": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return clean_json(json.dumps(line, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
