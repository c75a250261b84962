"""Take away what descriptors a process may still have."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_descriptor_left(room_count: int = 0) -> Iterator[None]:
    """Let this process have so many descriptors more, and none beyond them, for the block."""
    probes = [os.open(os.devnull, os.O_RDONLY) for _ in range(room_count + 1)]
    for fd in probes:
        os.close(fd)
    with descriptor_limit(os.getpid(), probes[-1]):
        yield


@contextmanager
def descriptor_limit(pid: int, limit: int) -> Iterator[None]:
    """Keep the numbers of a process' new descriptors below a limit for the block; what it has open stays."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
