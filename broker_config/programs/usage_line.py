"""What is wrong with a command line, in one line."""

import click

from .printable import clean

#: What is wrong may be a value of a megabyte. What it is for stands before it, what to do about it behind.
_LONGEST_LENGTH = 1500
_HEAD_LENGTH = 500


def one_line(text: str) -> str:
    """Text of whatever length and source as one line that a terminal shows as it is."""
    # It may be the words of a server, of Redis, or of a machine that was broken into.
    line = clean(" ".join(text.split()))
    return line if len(line) <= _LONGEST_LENGTH else f"{line[:_HEAD_LENGTH]}…{line[_HEAD_LENGTH - _LONGEST_LENGTH :]}"


def usage_line(error: click.ClickException, program: str) -> str:
    """What a program says of a command line that it cannot read, with the help that tells more."""
    text = one_line(error.format_message()).rstrip(".")
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else program
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    told = text if "--help" in text else f"{text}; see `{where} --help`"
    return f"{told} (InvalidUsage)"
