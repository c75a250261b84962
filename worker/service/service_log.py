"""The file that stands in for the log of a service manager which has none: what an agent says before it has its own."""

import os
from pathlib import Path

#: A few hundred starts that fail.
_LIMIT_BYTES = 65_536
_STDERR = 2


def keep_small(path: str) -> bool:
    """Tell whether stderr is the file at ``path``, and empty it when it has grown; it has to be open for appending.

    Whoever gets ``True`` writes there only what its own log, which is bounded, cannot have.
    """
    try:
        here = os.fstat(_STDERR)
        if not path or not os.path.samestat(here, Path(path).stat()):
            return False
        if here.st_size > _LIMIT_BYTES:
            os.ftruncate(_STDERR, 0)
    except OSError:
        return False
    return True
