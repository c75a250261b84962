"""Name a few of many."""

from collections.abc import Sequence

_SHOWN_COUNT = 5


def some_of(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN_COUNT:,} more" if len(names) > _SHOWN_COUNT else ""
    return ", ".join(names[:_SHOWN_COUNT]) + more
