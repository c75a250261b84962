"""Read what a person names on the command line: a file, or ``-`` for standard input."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from .argument_types import UNSET

#: Far more than any script, secret or file to send may have; a device or the wrong file must not fill the memory.
_LIMIT_BYTES = 16 * 1024 * 1024


def read_given(file: str) -> bytes:
    """All of a file, or of standard input for ``-``.

    Raises:
        UsageError: it cannot be read, or is far too large.
    """
    return _bounded(sys.stdin.buffer, "standard input") if file == "-" else read_file(file)


def read_file(file: str, what: str = "") -> bytes:
    """All of a file; ``what`` says in an error what should be in it.

    Raises:
        UsageError: it has no name, cannot be read, or is far too large.
    """
    if not file:
        raise click.UsageError(f"the name of the file is empty{UNSET}")
    try:
        with Path(file).open("rb") as opened:
            return _bounded(opened, file)
    except OSError as exc:
        named = f"{what} from {file}" if what else file
        raise click.UsageError(f"cannot read {named}: {exc.strerror}") from exc


def _bounded(stream: BinaryIO, name: str) -> bytes:
    data = stream.read(_LIMIT_BYTES + 1)
    if len(data) > _LIMIT_BYTES:
        raise click.UsageError(
            f"{name} has more than {_LIMIT_BYTES // 1024 // 1024} MiB, far more than can be taken here; "
            "let the instances fetch it, or make it a package"
        )
    return data
