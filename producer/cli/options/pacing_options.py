"""Options that say how many instances run an invocation at the same time."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from ....broker_config.programs.counted import counted
from ...invocations.invoking import RunOptions
from .argument_types import filled

Answer = TypeVar("Answer")


def takes_pacing(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --at-once and --stop-at to the ``options`` of an invocation."""

    @amount_options
    @functools.wraps(function)
    def collect(*arguments: Any, options: RunOptions, at_once: str, stop_at: str, **rest: Any) -> Answer:
        paced = msgspec.structs.replace(options, at_once=at_once, stop_at=stop_at)
        return function(*arguments, options=paced, **rest)

    return collect


def amount_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --at-once and --stop-at, as texts."""
    at_once = click.option(
        "--at-once",
        callback=filled,
        metavar="N|N%",
        help="Run on so many instances at the same time, on the next when one has ended; a beat lets them go.  "
        "[default: all]",
    )
    stop_at = click.option(
        "--stop-at", callback=filled, metavar="N|N%", help="With --at-once: start no more when so many have failed."
    )
    return at_once(stop_at(function))


def pacing_text(at_once_count: int, failures_count: int) -> str:
    """Say how many at once, and what ends it; ``""`` for 0 at once, which is all."""
    if not at_once_count:
        return ""
    end = f", none after {counted(failures_count, 'failure')}" if failures_count else ""
    return f"{at_once_count:,}{end}"
