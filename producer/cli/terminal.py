"""How wide the text on standard output may be."""

import os
import sys

#: The width to lay text out for when standard output is not a terminal.
WIDTH_COLUMNS = 100


def terminal_columns() -> int | None:
    """The width of the terminal that standard output is; ``None`` when it is something else."""
    # Not shutil's: importing that takes as long as the rest of the help.
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or None
    except OSError:
        return None


def help_columns() -> int:
    """The width for help texts, which are not made for wide lines."""
    return min(terminal_columns() or WIDTH_COLUMNS, WIDTH_COLUMNS) - 2
