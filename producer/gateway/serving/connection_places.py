"""How many connections there may be at once, and whose place a newcomer gets."""

from collections.abc import Callable
from typing import Protocol

#: Connections at once, where the system grants the files for them; each costs 9 kB while it is idle.
CONNECTIONS_COUNT = 4_096
#: Files that the gateway needs for all else: Redis, downloads, the log.
_OTHER_FILES_COUNT = 256


class Connection(Protocol):
    """A connection as far as its place is concerned."""

    def make_way(self) -> None:
        """End at once."""


class ConnectionPlaces:
    """A limited number of places, for the event loop's thread only.

    When none is free, a newcomer gets the place of the connection that has owed the head of a request for the longest,
    else of the one that has been idle for the longest between two requests. One that waits for an answer keeps its own.
    """

    def __init__(self, count: int, note: Callable[[], None] = lambda: None) -> None:
        """Have ``count`` places; ``note`` is called for each connection that is ended or turned away."""
        self._count = count
        self._note = note
        self._taken: set[Connection] = set()
        #: Each in the order in which it came to be so.
        self._owing: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> bool:
        """Take a place; tell whether there was one. A connection that is turned away counts until it is gone."""
        while is_full := len(self._taken) >= self._count:
            self._note()
            first = next(iter(self._owing), None) or next(iter(self._idle), None)
            if first is None:
                break
            self.leave(first)
            first.make_way()
        self._taken.add(connection)
        return not is_full

    def mark(self, connection: Connection, *, owes_head: bool, is_idle: bool) -> None:
        """Say what a connection does now."""
        for which, belongs in ((self._owing, owes_head), (self._idle, is_idle)):
            if belongs and connection in self._taken:
                which.setdefault(connection)
            else:
                which.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Give a place back; repeated calls do no harm."""
        self._taken.discard(connection)
        self._owing.pop(connection, None)
        self._idle.pop(connection, None)


def places_count() -> int:
    """How many connections the system grants the files for, up to our own limit."""
    try:
        import resource  # lazy: not there on Windows
    except ImportError:
        return CONNECTIONS_COUNT
    granted, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if granted == resource.RLIM_INFINITY:
        return CONNECTIONS_COUNT
    return max(1, min(CONNECTIONS_COUNT, max(granted - _OTHER_FILES_COUNT, granted // 2)))
