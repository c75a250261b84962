"""What `assist up` shows: one block that says what runs, where, and what to type next; then a line per change.

Nothing is drawn over: the block stays readable after a resize, in a log file and in the terminal's history.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TextIO

from ...broker_config.clock import iso_seconds, now_ms

_GREEN, _YELLOW, _RED, _BOLD, _DIM, _PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[2m", "\033[0m"
_CLEAR_LINE = "\r\033[K"
_LABEL_WIDTH = 10


class Screen:
    """Lines for people on stderr, with colour on a terminal that has it.

    A terminal that was closed takes no more lines; that must not keep us from ending our programs.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._has_colour = (
            self._is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"
        )
        unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._dot, self._ellipsis = ("●", "…") if unicode else ("*", "...")
        self._has_status = False

    def title(self, version: str) -> None:
        """Begin."""
        self._line("")
        self._line(f"  {self._in(_BOLD, 'Cloud Assistant')} {self._in(_DIM, version)}")
        self._line("")

    def status(self, text: str) -> None:
        """Show what is waited for, in a line that the next one replaces; on a terminal only."""
        if self._has_colour:
            self._write(f"{_CLEAR_LINE}    {self._in(_DIM, text + self._ellipsis)}")
            self._has_status = True

    def end_status(self) -> None:
        """Take the status line away."""
        if self._has_status:
            self._write(_CLEAR_LINE)
            self._has_status = False

    def row(self, label: str, text: str, *, runs: bool) -> None:
        """One line of the block: a program that runs, or a fact."""
        mark = self._in(_GREEN, self._dot) if runs else " "
        shown = label.ljust(_LABEL_WIDTH)
        self._line(f"  {mark} {shown if runs else self._in(_DIM, shown)}{text}")

    def gap(self) -> None:
        """An empty line."""
        self._line("")

    def next_steps(self, commands: Sequence[str]) -> None:
        """End the block with what to type next and how to stop."""
        self._line("")
        self._line(f"  {self._in(_DIM, 'Type next, in another terminal:')}")
        self._line("")
        for command in commands:
            self._line(f"    {command}")
        self._line("")
        ending = "Ctrl-C" if self._is_terminal else f"kill {os.getpid()}"
        self._line(f"  {self._in(_BOLD, ending)} {self._in(_DIM, 'ends everything; scripts that still run go on.')}")
        self._line("")

    def change(self, text: str, *, bad: bool = False) -> None:
        """Say what has just happened, with the time."""
        self._line(f"  {self._in(_DIM, self._time())}  {self._in(_YELLOW, text) if bad else text}")

    def failure(self, text: str, details: Sequence[str] = ()) -> None:
        """Say what keeps us from running, with the last lines of a log."""
        self._line("")
        self._line(f"  {self._in(_RED, text)}")
        self._line("")
        for line in details:
            self._line(f"    {self._in(_DIM, line)}")
        self._line("")

    def _time(self) -> str:
        at_ms = now_ms()
        if not self._is_terminal:
            return iso_seconds(at_ms)
        return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%H:%M:%S")

    def _in(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._has_colour else text

    def _line(self, text: str) -> None:
        clear = _CLEAR_LINE if self._has_status else ""
        self._has_status = False
        self._write(f"{clear}{text.rstrip()}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
