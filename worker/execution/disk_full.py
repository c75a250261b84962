"""A disk without room, or without room for this user."""

import errno

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(problem: OSError) -> bool:
    """Tell whether this is what was wrong."""
    return problem.errno in _DISK_FULL
