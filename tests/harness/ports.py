"""Ports that no other test takes while one of our servers is down."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

#: Below Linux's ephemeral range: a client that keeps trying a stopped server's port from inside that range
#: can connect to itself, and its connection then keeps the server from coming back.
FIRST_PORT = 15_000
LAST_PORT = 31_999


class ReservedPort:
    """A loopback port, kept for this process by a file lock until released (the lock ends with the process)."""

    def __init__(self, number: int, lock_fd: int) -> None:
        self.number = number
        self._lock_fd: int | None = lock_fd

    def release(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def reserve_port() -> ReservedPort:
    """Reserve a port that nothing listens on.

    Raises:
        RuntimeError: two hundred tries found none, so something holds the whole range.
    """
    folder = Path(tempfile.gettempdir()) / f"cloud-assistant-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in random.sample(range(FIRST_PORT, LAST_PORT + 1), 200):
        lock_fd = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            continue
        if _is_free(number):
            return ReservedPort(number, lock_fd)
        os.close(lock_fd)
    raise RuntimeError(f"no free loopback port between {FIRST_PORT} and {LAST_PORT}")


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
