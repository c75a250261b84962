"""Options that say how many instances run an invocation at the same time."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from ..invoking import RunOptions
from .argument_types import filled

Answer = TypeVar("Answer")


def takes_pacing(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --at-once and --stop-at to the ``options`` of an invocation."""

    @click.option(
        "--at-once",
        callback=filled,
        metavar="N|N%",
        help="Run on so many instances at the same time, on the next when one has ended; a beat lets them go.  "
        "[default: all]",
    )
    @click.option(
        "--stop-at", callback=filled, metavar="N|N%", help="With --at-once: start no more when so many have failed."
    )
    @functools.wraps(function)
    def collect(*arguments: Any, options: RunOptions, at_once: str, stop_at: str, **rest: Any) -> Answer:
        paced = msgspec.structs.replace(options, at_once=at_once, stop_at=stop_at)
        return function(*arguments, options=paced, **rest)

    return collect
