"""The three streams that every program takes for granted, also where whoever started it has closed them."""

import os
import sys


def open_missing_streams() -> None:
    """Open each closed standard stream on nothing: what is read there is empty, what is written is lost.

    Otherwise the next file or connection would get its number, and a child would take it for its standard output.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
