"""Say, beside a list, that there is more."""

from typing import Any

from ..paging import Page, PageRequest
from .call import Call
from .text_cells import counted


def note_on_page(call: Call, found: Page[Any], page: PageRequest, noun: str) -> None:
    """Tell a person how much is not shown and how to see it; silent when everything is."""
    first = (page.number - 1) * page.size
    last = first + len(found.items)
    if found.total_count > last:
        call.say(f"{first + 1} to {last} of {counted(found.total_count, noun)}; --page {page.number + 1} shows more")
    elif not found.items:
        call.say(f"no {noun} matches" if not first else f"no more than {counted(found.total_count, noun)}")
