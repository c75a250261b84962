"""The first thing that beat, gateway and agent do: tell Ctrl-C in one line while their imports still run.

Only what Python itself has loaded is imported here: an exception would be thrown into whatever import it meets, which
Python 3.11 now and then turns into another, or drops.
"""

import os
import signal
from types import FrameType

#: As `assist` ends (deploy/SCRIPTS.md).
_INTERRUPTED = 130


def end_on_interrupt(program: str) -> None:
    """Have Ctrl-C end this process with one line, until ``raise_on_interrupt`` or a handler of the program's own."""

    def end(_number: int, _frame: FrameType | None) -> None:
        try:
            os.write(2, f"{program}: interrupted (Interrupted)\n".encode())
        finally:
            os._exit(_INTERRUPTED)

    # Whoever had it ignored, as a shell does for what it starts in the background, wants it so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


def raise_on_interrupt() -> None:
    """Have Ctrl-C raise ``KeyboardInterrupt`` again: from here on there may be something to clear up."""
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL, None):
        signal.signal(signal.SIGINT, signal.default_int_handler)
