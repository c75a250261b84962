"""What Windows refuses while somebody else has a file open, as a virus scanner has for a moment."""

import os
import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.02


def patiently(act: Callable[[], object], patience_seconds: float) -> None:
    """Do what moves or removes files; on Windows try it again for ``patience_seconds`` while it is refused.

    Raises:
        OSError: it cannot be done.
    """
    give_up_at = time.monotonic() + patience_seconds
    while True:
        try:
            act()
        except PermissionError:
            if os.name != "nt" or time.monotonic() > give_up_at:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
