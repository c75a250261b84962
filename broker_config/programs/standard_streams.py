"""The three streams that every program takes for granted, as whoever started it has left them."""

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Have three streams that take any text; to be called before anything else is opened.

    One that is closed is opened on nothing: what is read there is empty, what is said on standard error is lost, and
    standard output takes nothing, so that no answer is lost without a word. Otherwise the next file or connection would
    get its number, and a child would take it for its standard output. Characters that the encoding of standard output
    has not are written as escapes, as on standard error.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one: those below are open by now.
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
