"""Write all of something: the system may take less at a time than it was given."""

import os


def write_whole(fd: int, data: bytes) -> None:
    """Write to an open file until it has everything.

    Raises:
        OSError: it does not take more; some of it may be there.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
