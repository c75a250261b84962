"""Calm aligned tables, and lists of one thing's properties."""

from collections.abc import Sequence

from .text_cells import clean, cut, pad, width_of

_GAP = "  "


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None) -> list[str]:
    """Lay rows out under headers.

    On a terminal of ``columns`` the last cell is cut so that no line breaks; nothing is ever cut in a pipe.
    """
    cells = [tuple(headers), *(tuple(map(clean, row)) for row in rows)]
    widths = [max(map(width_of, column)) for column in zip(*cells, strict=True)]
    if columns is not None:
        before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        widths[-1] = max(len(headers[-1]), min(widths[-1], columns - before))
    return [
        _GAP.join(pad(cut(cell, width), width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def properties(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """One line per property that has a value."""
    given = [(name, clean(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in given), default=0)
    return [f"{pad(name, width)}{_GAP}{value}" for name, value in given]
