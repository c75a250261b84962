"""Where a script's text comes from: the command line, a file, standard input, or Base64."""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ...validation import decode_base64
from .given_bytes import read_given
from .secret_values import refuse_second_use_of_stdin

Answer = TypeVar("Answer")


def takes_script(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add SCRIPT, --file and --base64; the command gets the bytes as ``content``.

    Exactly one must be given. Bytes are kept as they are, whatever their encoding.
    """

    @click.argument("script", required=False)
    @click.option("--file", "file", metavar="FILE", help="Read the script from a file; - is standard input.")
    @click.option("--base64", "encoded", metavar="TEXT", help="The script in Base64.")
    @functools.wraps(function)
    def collect(*arguments: Any, script: str | None, file: str | None, encoded: str | None, **rest: Any) -> Answer:
        refuse_second_use_of_stdin(script, file)
        return function(*arguments, content=_content(script, file, encoded), **rest)

    return collect


def _content(script: str | None, file: str | None, encoded: str | None) -> bytes:
    if sum(one is not None for one in (script, file, encoded)) != 1:
        raise click.UsageError("give the script once: as text, as - for standard input, with --file or with --base64")
    if encoded is not None:
        return decode_base64(encoded)
    if script not in (None, "-"):
        return os.fsencode(script)
    return read_given(script or file or "")
