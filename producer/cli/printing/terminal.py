"""How wide the text on standard output may be."""

import os
import sys
from typing import TextIO

#: The width to lay text out for when standard output is not a terminal.
WIDTH_COLUMNS = 100


def columns_of(stream: TextIO | None) -> int | None:
    """The width of the terminal behind a stream; ``None`` when it is something else."""
    # Not shutil's: importing that takes 4 ms.
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream else None
    except (OSError, ValueError):
        return None


def terminal_columns() -> int | None:
    """The width of the terminal that standard output is; ``None`` when it is something else."""
    return columns_of(sys.__stdout__)


def help_columns() -> int:
    """The width for help texts, which are not made for wide lines."""
    return min(terminal_columns() or WIDTH_COLUMNS, WIDTH_COLUMNS) - 2
