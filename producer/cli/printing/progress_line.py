"""One line on a terminal's standard error that is drawn over while we wait. Nothing at all anywhere else."""

import sys

from ....broker_config.clock import monotonic_seconds
from .terminal import WIDTH_COLUMNS, columns_of
from .text_cells import cut, pad

#: Time between two drawings: as fast as people read.
_INTERVAL_SECONDS = 0.1
_BAR_COLUMNS = 24


class ProgressLine:
    """A line for the present state; ``clear`` takes it away again."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self._drawn_at = 0.0
        self._drawn = ""

    def draw(self, text: str) -> None:
        """Show the text, unless the last one is only a moment old."""
        now = monotonic_seconds()
        if not self.is_shown or now - self._drawn_at < _INTERVAL_SECONDS:
            return
        columns = (columns_of(sys.__stderr__) or WIDTH_COLUMNS) - 1
        shown = cut(text, columns)
        # Blanks instead of an escape code: every terminal knows them.
        sys.stderr.write("\r" + pad(shown, min(columns, len(self._drawn))))
        sys.stderr.flush()
        self._drawn, self._drawn_at = shown, now

    def clear(self) -> None:
        """Leave the terminal as it was."""
        if self._drawn:
            sys.stderr.write("\r" + " " * len(self._drawn) + "\r")
            sys.stderr.flush()
            self._drawn, self._drawn_at = "", 0.0


def bar(done_count: int, total_count: int) -> str:
    """``[#####.....] 12/24``."""
    filled = _BAR_COLUMNS * done_count // max(1, total_count)
    return f"[{'#' * filled}{'.' * (_BAR_COLUMNS - filled)}] {done_count:,}/{total_count:,}"
