"""What to do when our output goes nowhere any more: a pipe or a stream that was closed, a disk that is full."""

import errno
import os
import sys
from typing import TextIO

#: Why an output takes no more.
TAKES_NO_MORE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def why_not_written(error: OSError) -> str:
    """Why an output takes no more, and what helps."""
    if error.errno == errno.EBADF:
        return "standard output is closed; open it, or send it to /dev/null"
    return f"{error.strerror}; make room where it goes"


def forget_outputs() -> None:
    """Keep the interpreter from complaining, as it ends, about what it cannot write any more."""
    forget(sys.stdout)
    forget(sys.stderr)


def forget(stream: TextIO) -> None:
    """Let what was and is written there go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
