"""Cut a long list into pieces that Redis is asked about one after the other."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Sequence[Item], count: int) -> Iterator[Sequence[Item]]:
    """Yield so many at a time, in their order; the last may be fewer."""
    for first in range(0, len(items), count):
        yield items[first : first + count]
