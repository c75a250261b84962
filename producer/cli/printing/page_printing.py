"""Print one page of a list, and say beside it that there is more."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ....broker_config.programs.counted import counted
from ....broker_config.programs.printable import clean
from ...paging import Page, PageRequest
from ..call import Call
from .tables import print_table

Item = TypeVar("Item")


def print_page(
    call: Call,
    found: Page[Item],
    page: PageRequest,
    noun: str,
    *,
    shape: Callable[[Item], object],
    headers: Sequence[str],
    row: Callable[[Item], tuple[str, ...]],
) -> None:
    """Print what was found: a list for programs, a table for people; how much is not shown goes to the talk."""
    if call.wants_json:
        call.print_json([shape(one) for one in found.items])
    elif found.items:
        print_table(call, headers, [row(one) for one in found.items])
    note_on_page(call, found, page, noun)


def say_unreadable(call: Call, found: Page[Any]) -> None:
    """Name what was come across and could not be read, each with what to do about it."""
    for one in found.unreadable:
        call.say(clean(str(one)))


def note_on_page(call: Call, found: Page[Any], page: PageRequest, noun: str) -> None:
    """Tell a person how much is not shown and how to see it; silent when everything is."""
    say_unreadable(call, found)
    first = page.first
    last = first + len(found.items)
    if found.total_count > last:
        call.say(f"{first + 1} to {last} of {counted(found.total_count, noun)}; --page {page.number + 1} shows more")
    elif not found.items and not found.unreadable:
        call.say(f"no {noun} matches" if not first else f"no more than {counted(found.total_count, noun)}")
