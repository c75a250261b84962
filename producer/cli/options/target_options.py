"""Options that choose the instances of a request."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ....broker_config.errors import RequestInvalid
from ...fleet.connected import part_by_connection
from ...fleet.targets import Targets, resolve
from ...invocations.unsuccessful import unsuccessful_in
from ...some_of import some_of
from ..call import Call
from .argument_types import filled, filled_each
from .request_options import tag_filter_option

Answer = TypeVar("Answer")


def instance_option(help: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give the option --instance, which may be repeated; the command gets the ids as ``instance_ids``."""
    return click.option("--instance", "instance_ids", multiple=True, callback=filled_each, metavar="ID", help=help)


def takes_targets(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --instance, --tag, --all, --failed-in and --connected; the command gets them as ``targets``."""

    @instance_option("An instance; may be repeated.")
    @tag_filter_option(
        help="All instances with this tag (any value if none is given). If repeated, they must have all of them."
    )
    @click.option("--all", "everything", is_flag=True, help="All registered instances.")
    @click.option(
        "--failed-in",
        callback=filled,
        metavar="ID",
        help="Instances on which this invocation did not succeed or was not started.",
    )
    @click.option("--connected", is_flag=True, help="Of those, only the ones whose agent is connected right now.")
    @functools.wraps(function)
    def collect(
        call: Call,
        *arguments: Any,
        instance_ids: tuple[str, ...],
        tags: dict[str, str | None],
        everything: bool,
        failed_in: str,
        connected: bool,
        **rest: Any,
    ) -> Answer:
        if failed_in:
            if instance_ids or tags or everything:
                raise click.UsageError("--failed-in names the instances by itself")
            instance_ids = tuple(unsuccessful_in(call.assistant.redis, failed_in))
        targets = Targets(instance_ids=instance_ids, tags=tags, everything=everything)
        if connected:
            targets = _connected_of(call, targets)
        return function(call, *arguments, targets=targets, **rest)

    return collect


def _connected_of(call: Call, targets: Targets) -> Targets:
    """Leave out those whose agent is not there, and name them.

    Raises:
        RequestInvalid: that leaves nobody.
    """
    redis = call.assistant.redis
    asked, absent = part_by_connection(redis, resolve(redis, targets, call.loaded.settings.limits))
    if not asked:
        raise RequestInvalid(
            f"none of the {len(absent):,} chosen is connected; without --connected they have until --deliver-within",
            code="InvalidInstance.NotFound",
        )
    if absent:
        call.say(f"left out, not connected: {some_of(absent)}")
    return Targets(instance_ids=asked)
