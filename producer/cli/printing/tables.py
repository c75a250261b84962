"""Calm aligned tables, and lists of one thing's properties."""

from collections.abc import Sequence

from ....broker_config.programs.printable import clean
from ..call import Call
from .terminal import terminal_columns
from .text_cells import cut, pad, width_of

_GAP = "  "


def print_table(call: Call, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers, no wider than the terminal."""
    for line in table(headers, rows, terminal_columns()):
        call.print(line)


def print_properties(call: Call, pairs: Sequence[tuple[str, str]]) -> None:
    """Print one line per property that has a value."""
    for line in properties(pairs):
        call.print(line)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None) -> list[str]:
    """Lay rows out under headers.

    On a terminal of ``columns`` cells are cut so that no line breaks: the last column first, then the widest; the
    first, which names the thing, never. Nothing is ever cut in a pipe.
    """
    cells = [tuple(headers), *(tuple(map(clean, row)) for row in rows)]
    widths = [max(map(width_of, column)) for column in zip(*cells, strict=True)]
    if columns is not None:
        _narrow(widths, [len(header) for header in headers], columns - len(_GAP) * (len(widths) - 1))
    return [
        _GAP.join(pad(cut(cell, width), width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _narrow(widths: list[int], least: Sequence[int], columns: int) -> None:
    """Take from some widths, never below their ``least``, what all of them have over ``columns``."""
    last = len(widths) - 1
    others = sorted(range(1, last), key=lambda place: -widths[place])
    for place in (last, *others):
        surplus = sum(widths) - columns
        widths[place] -= max(0, min(surplus, widths[place] - least[place]))


def properties(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """One line per property that has a value."""
    given = [(name, clean(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in given), default=0)
    return [f"{pad(name, width)}{_GAP}{value}" for name, value in given]
