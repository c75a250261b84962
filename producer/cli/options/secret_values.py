"""Secret values for a script: read from where they are no part of a command line, a history or a list of processes."""

import functools
import getpass
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ...commands.secret_parameters import SecretValues
from .given_bytes import read_file, read_given

Answer = TypeVar("Answer")

_FORMS = "NAME=- (standard input, asked for at a terminal), NAME=@FILE or NAME=env:VARIABLE"
_HELP = (
    "A secret for the script, in its environment variable CA_PARAM_<NAME>: encrypted to "
    "each instance, masked in output, never stored in the clear. Its value is read from "
    "standard input (-), a file or an environment variable. May be repeated."
)


def takes_secret_values(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --secret-parameter; the command gets the values as ``secret_values``."""

    @click.option("--secret-parameter", "sources", multiple=True, metavar="NAME=-|@FILE|env:VARIABLE", help=_HELP)
    @functools.wraps(function)
    def collect(*arguments: Any, sources: tuple[str, ...], **rest: Any) -> Answer:
        return function(*arguments, secret_values=_read_all(sources), **rest)

    return collect


def refuse_second_use_of_stdin(script: str | None, file: str | None) -> None:
    """Refuse to read both the script and a secret from standard input.

    Raises:
        UsageError: both are asked for.
    """
    sources = click.get_current_context().params.get("sources") or ()
    if "-" in (script, file) and any(one.endswith("=-") for one in sources):
        raise click.UsageError(
            "the script and a secret cannot both come from standard input; give one of them as a file"
        )


def _read_all(sources: tuple[str, ...]) -> SecretValues:
    values = SecretValues()
    for one in sources:
        name, equals, source = one.partition("=")
        if not (name and equals):
            raise click.UsageError(f"give a secret as {_FORMS}")
        if name in values:
            raise click.UsageError(f"the secret {name!r} is given twice")
        if source == "-" and sum(each.endswith("=-") for each in sources) > 1:
            raise click.UsageError("only one secret can come from standard input")
        values[name] = _read(name, source)
    return values


def _read(name: str, source: str) -> str:
    if source == "-":
        text = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else _text(name, read_given(source))
    elif source.startswith("@"):
        text = _text(name, read_file(source[1:], f"the secret {name!r}"))
    elif source.startswith("env:"):
        from ....broker_config.settings import environment_value  # lazy: the help needs it not

        found = environment_value(source[4:])
        if found is None:
            raise click.UsageError(f"there is no environment variable {source[4:]} for the secret {name!r}")
        return found
    else:
        # Not shown: it may well be the secret itself, typed where everybody sees it.
        raise click.UsageError(
            f"the value of the secret {name!r} must not stand in the command line; give it as {_FORMS}"
        )
    # One line end belongs to the file or the terminal, not to the secret.
    return text.removesuffix("\n").removesuffix("\r")


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise click.UsageError(f"the secret {name!r} is not UTF-8; encode it, in Base64 for instance") from exc
