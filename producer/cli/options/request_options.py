"""Options that several commands share. Each decorator adds some and hands them over as one typed object."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from ....broker_config.records import RepeatMode, Schedule, ScriptType
from ...invocations.invoking import RunOptions
from ...paging import PageRequest
from .argument_types import Duration, Pair, filled, mapping

Answer = TypeVar("Answer")

#: The most that --limit takes.
LIMIT_COUNT = 1000
#: What --grace 0 asks for: in a request 0 stands for the agent's own grace.
_NO_GRACE_SECONDS = 0.001


class Waiting(msgspec.Struct, frozen=True):
    """Whether to wait for the end, and how long (``None``: until it has come)."""

    wait: bool
    timeout_seconds: float | None


def tag_filter_option(
    *, help: str = "Only those with this tag; may be repeated."
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give the option --tag of what is looked for; the command gets a mapping as ``tags``, ``None`` for any value."""
    return click.option("--tag", "tags", multiple=True, type=Pair(bare_key=True), callback=mapping, help=help)


def takes_run_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add what one invocation may say beyond its command; the command gets it as ``options``."""

    @click.option(
        "--timeout",
        type=Duration(),
        help="How long the script may run, at least 10 s; less counts as 10.  [default: the stored command's, else 60]",
    )
    @click.option("--parameter", "parameters", multiple=True, type=Pair(), callback=mapping, help=_PARAMETER_HELP)
    @click.option("--workdir", callback=filled, metavar="FOLDER", help="Working directory of the script.")
    @click.option("--user", callback=filled, metavar="NAME", help="User to run the script as.")
    @click.option("--launcher", callback=filled, metavar="TEXT", help="Command line that starts the script.")
    @click.option(
        "--termination-mode",
        type=click.Choice(["ProcessTree", "Process"]),
        metavar="MODE",
        help="What a stop or a timeout ends: ProcessTree or Process.  [default: ProcessTree]",
    )
    @click.option("--grace", type=Duration(), help="Time between TERM and KILL; 0 for none.  [default: the agent's]")
    @click.option(
        "--deliver-within",
        type=Duration(),
        help="How long to wait for the agent to take it, up to 30d: an instance that is offline "
        "has this long to come back.  [default: 60]",
    )
    @click.option("--dry-run", is_flag=True, help="Check parameters, user and folder on the instances; run nothing.")
    @functools.wraps(function)
    def collect(
        *arguments: Any,
        timeout: float | None,
        parameters: dict[str, str],
        workdir: str,
        user: str,
        launcher: str,
        termination_mode: str | None,
        grace: float | None,
        deliver_within: float | None,
        dry_run: bool,
        **rest: Any,
    ) -> Answer:
        options = RunOptions(
            parameters=parameters,
            timeout_seconds=whole_seconds(timeout, "--timeout"),
            working_directory=workdir,
            username=user,
            launcher=launcher,
            termination_mode=termination_mode or "",
            grace_seconds=0.0 if grace is None else max(grace, _NO_GRACE_SECONDS),
            deliver_within_seconds=whole_seconds(deliver_within, "--deliver-within"),
            schedule=Schedule(repeat_mode=RepeatMode.DRY_RUN if dry_run else RepeatMode.ONCE),
        )
        return function(*arguments, options=options, **rest)

    return collect


_PARAMETER_HELP = (
    "A value for the script, in its environment variable CA_PARAM_<KEY>, where no "
    "quoting can go wrong. May be repeated."
)


def takes_waiting(*, default: bool) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Add --wait and --wait-timeout; the command gets them as ``waiting``."""

    def decorate(function: Callable[..., Answer]) -> Callable[..., Answer]:
        @click.option(
            "--wait/--no-wait",
            default=default,
            help=f"Wait for the results and show them.  [default: {'--wait' if default else '--no-wait'}]",
        )
        @click.option("--wait-timeout", type=Duration(), help="Stop waiting after this time; the scripts keep running.")
        @functools.wraps(function)
        def collect(*arguments: Any, wait: bool, wait_timeout: float | None, **rest: Any) -> Answer:
            return function(*arguments, waiting=Waiting(wait, wait_timeout), **rest)

        return collect

    return decorate


def takes_page(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --limit and --page; the command gets them as ``page``."""

    @click.option(
        "--limit",
        type=click.IntRange(1, LIMIT_COUNT),
        default=50,
        metavar="N",
        help=f"How many at a time, at most {LIMIT_COUNT}.  [default: 50]",
    )
    @click.option("--page", type=click.IntRange(1), default=1, metavar="N", help="Which page to show.  [default: 1]")
    @functools.wraps(function)
    def collect(*arguments: Any, limit: int, page: int, **rest: Any) -> Answer:
        request = PageRequest(number=page, size=limit, size_max=LIMIT_COUNT)
        return function(*arguments, page=request, **rest)

    return collect


#: The option --client-token; the command gets it as ``client_token``.
client_token_option = click.option(
    "--client-token",
    callback=filled,
    metavar="TEXT",
    help="The same request, sent again with this token, is carried out only once.",
)


def script_type_option(**attributes: Any) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """The option --type; the command gets it as ``script_type``."""
    kinds = [kind.value for kind in ScriptType]
    return click.option("--type", "script_type", type=click.Choice(kinds), metavar="TYPE", **attributes)


#: What --type takes.
SCRIPT_TYPES = ", ".join(kind.value for kind in ScriptType)


def whole_seconds(value: float | None, option: str) -> int:
    """The value for a field that counts whole seconds; 0 stands for "not given".

    Raises:
        BadParameter: less than a second.
    """
    if value is None:
        return 0
    if value < 1:
        raise click.BadParameter(f"{option} must be at least one second")
    return round(value)
