"""What the command lines of beat, gateway and agent have in common."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import click

from .output_end import TAKES_NO_MORE, forget_outputs, why_not_written
from .standard_streams import prepare_streams

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: As `assist` ends in these cases (deploy/SCRIPTS.md).
_WRONG_USAGE = 2
_NOT_WRITTEN = 4
_INTERRUPTED = 130
_EMPTY = "it is empty, as an unset variable leaves it; give a value, or leave the option out"
#: By this later clicks show the help where no word is given; earlier ones just do.
_HELP_INSTEAD: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


def filled(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty option, as an unset variable leaves it: another system would be meant; for use as a callback.

    Raises:
        BadParameter: it was given, and is empty.
    """
    is_given = context.get_parameter_source(str(parameter.name)) == click.core.ParameterSource.COMMANDLINE
    if is_given and not (value or "").strip():
        raise click.BadParameter(_EMPTY)
    return value


config_option = click.option("--config", default="", metavar="FILE", callback=filled, help="Settings file (TOML).")


def version_option(program: str) -> Callable[[Decorated], Decorated]:
    """The option that shows the version and ends."""

    def show(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            from importlib.metadata import version  # lazy: 20 ms that only this option needs

            click.echo(f"{program} {version('cloud-assistant')}")
            context.exit()

    return click.option(
        "-V", "--version", is_flag=True, callback=show, expose_value=False, is_eager=True, help="Show the version."
    )


class Program(click.Command):
    """A command line that gets the standard streams ready first, and tells in one line why it was cut short."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Do what the command line says."""
        prepare_streams()
        try:
            return super().main(*arguments, **named)
        except OSError as error:
            if error.errno not in TAKES_NO_MORE or error.filename is not None:
                raise
            name = os.path.basename(sys.argv[0])  # noqa: PTH119 - pathlib would make --help slower
            with suppress(OSError):
                click.echo(f"{name}: cannot write: {why_not_written(error)} (NotWritten)", err=True)
            forget_outputs()
            sys.exit(_NOT_WRITTEN)

    def make_context(self, info_name: str | None, args: list[str], *arguments: Any, **named: Any) -> click.Context:
        """Read the words; what is wrong with them, and Ctrl-C meanwhile, is told as `assist` tells it."""
        with _interrupts_told(info_name), _wrong_usage_told(info_name):
            return super().make_context(info_name, args, *arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Call what was asked for; wrong words, and Ctrl-C before anything else takes it, are told as `assist` does."""
        with _interrupts_told(ctx.info_name), _wrong_usage_told(ctx.info_name):
            return super().invoke(ctx)


@contextmanager
def _interrupts_told(program: str | None) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, RuntimeError) as error:
        # A RuntimeError is what Python 3.11 makes of it while a class comes into being.
        if isinstance(error, RuntimeError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        click.echo(f"{program}: interrupted (Interrupted)", err=True)
        sys.exit(_INTERRUPTED)


@contextmanager
def _wrong_usage_told(program: str | None) -> Iterator[None]:
    try:
        yield
    except _HELP_INSTEAD:
        raise
    except click.ClickException as error:
        from .usage_line import usage_line  # lazy: a call that goes well needs it not

        click.echo(f"{program}: {usage_line(error, program or '')}", err=True)
        sys.exit(_WRONG_USAGE)
