"""What every command of ``assist`` has: the options of all of them, examples in its help, and the call it answers.

A command is a function that takes the ``Call`` and returns an exit code, or nothing when all is well.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from .call import Call
from .command_table import SHARED_OPTIONS
from .exit_codes import WRONG_USAGE
from .options.argument_types import EMPTY

#: Of a first sentence, in characters.
_ANY_LENGTH = 1_000


class PipeClosed(Exception):
    """Whoever read our output has gone: end in silence."""


class AssistCommand(click.Command):
    """A command whose help ends with examples. A test runs each example as it stands."""

    def __init__(
        self, *arguments: Any, examples: Sequence[str] = (), may_be_empty: Sequence[str] = (), **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = tuple(examples)
        self._may_be_empty = frozenset(may_be_empty)
        self.params += _options_of_every_command(expose_value=False)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; what is wrong with them names this command's help."""
        with _told_of(ctx):
            rest = super().parse_args(ctx, args)
            if not ctx.resilient_parsing:
                self._refuse_empty(ctx)
            return rest

    def _refuse_empty(self, ctx: click.Context) -> None:
        """Refuse an argument that is empty, as an unset variable leaves it: no id must not read as any id.

        Raises:
            BadParameter: an argument of this command is, and may not be.
        """
        for parameter in self.params:
            if isinstance(parameter, click.Argument) and parameter.name not in self._may_be_empty:
                value = ctx.params.get(str(parameter.name))
                was_given = ctx.get_parameter_source(str(parameter.name)) == ParameterSource.COMMANDLINE
                if was_given and "" in (value if isinstance(value, tuple) else (value,)):
                    raise click.BadParameter(EMPTY, ctx, parameter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the command's own options first, then those of every command."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the examples, each in a line of its own."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has gone is told from a remote script that failed."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as exc:
            raise PipeClosed from exc


class AssistGroup(click.Group):
    """A noun with its verbs."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **{"no_args_is_help": False, **attributes})
        # Exposed: `assist up` reads what stands before it from here.
        self.params += _options_of_every_command(expose_value=True)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help as talk, and call it wrong usage, when no verb is given."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(WRONG_USAGE)
        with _told_of(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; name the nearest one when there is no such verb."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from .nearest_verb import nearest_verb  # lazy: only a mistake needs it

            near = nearest_verb(args[0], self.list_commands(ctx))
            hint = f"did you mean {near}?" if near else f"see `{ctx.command_path} --help`"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the verb; what was given before it is the default of its own options of the same name."""
        given = {name: value for name, value in ctx.params.items() if value}
        ctx.default_map = dict.fromkeys(self.list_commands(ctx), given)
        return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs, each with the whole of its first sentence: click cuts it off at the end of the line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.get_short_help_str(_ANY_LENGTH)) for name, verb in found if verb])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the verbs first."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)


def assist_command(
    name: str,
    *,
    examples: Sequence[str],
    may_be_empty: Sequence[str] = (),
    cls: type[AssistCommand] = AssistCommand,
) -> Callable[[Callable[..., int | None]], AssistCommand]:
    """Make a function a command of ``assist``; it gets the ``Call`` as its first argument.

    ``may_be_empty`` names those of its arguments for which an empty text means something.
    """

    def decorate(function: Callable[..., int | None]) -> AssistCommand:
        made = click.command(name, cls=cls, examples=examples, may_be_empty=may_be_empty)
        return made(click.pass_obj(function))

    return decorate


@contextmanager
def _told_of(ctx: click.Context) -> Iterator[None]:
    """Say which command a mistake was made with, where click does not."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def _options_of_every_command(*, expose_value: bool) -> list[click.Parameter]:
    """The options that may stand before and after the verb; a later one wins."""

    forms: dict[str, Any] = {"--output": {"type": click.Choice(["text", "json"])}, "--debug": {"is_flag": True}}
    return [
        click.Option(
            [name],
            callback=_note,
            expose_value=expose_value,
            help=option.help,
            **forms.get(name, {"metavar": option.shown}),
        )
        for name, option in SHARED_OPTIONS.items()
    ]


_EVERYWHERE = {"output", "redis_url", "home", "config", "debug", "help"}


def _note(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keep a given value for the call.

    Raises:
        BadParameter: it is empty, and the default would be another system than the one that was meant.
    """
    if isinstance(value, str) and not value.strip():
        raise click.BadParameter(f"{EMPTY}, or leave the option out", ctx, parameter)
    if value and parameter.name and isinstance(ctx.obj, Call):
        setattr(ctx.obj, parameter.name, value)
    return value


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    options = [one for one in command.get_params(ctx) if isinstance(one, click.Option)]
    records = [(one.name, one.get_help_record(ctx)) for one in options]
    own = [record for name, record in records if record and name not in _EVERYWHERE]
    shared = [record for name, record in records if record and name in _EVERYWHERE]
    for title, part in (("Options", own), ("Options of every command", shared)):
        if part:
            with formatter.section(title):
                formatter.write_dl(part)
