"""The line on which an agent waits for messages: one connection, one BRPOP at a time.

Made once for an agent and opened again after each loss. The main thread waits on it; any thread may break it.
"""

import threading
from collections.abc import Callable, Sequence

import hiredis

from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.redis.connection import RedisConnection
from ...broker_config.redis.url import RedisAddress

#: How long a BRPOP of an idle agent waits: it sends one command in that time; a message wakes it at once.
WAIT_SECONDS = 15
#: An answer that is this late means that the connection is dead, however whole it looks from here.
LATE_SECONDS = 5
#: How long a server that accepts and says nothing is given.
_CONNECT_SECONDS = 5.0


class QueueLine:
    """Asks Redis for the next message and hears what it says; never waits itself."""

    def __init__(self, address: RedisAddress, *, name: str, now: Callable[[], float] = monotonic_seconds) -> None:
        """Take the address; nothing is connected yet."""
        self.address = address
        self._name = name
        self._now = now
        #: Guards the connection's change against those who break it.
        self._lock = threading.Lock()
        self._connection: RedisConnection | None = None
        self._asked_seconds: float | None = None
        self.has_left = False
        #: Whether the present connection has served us: signing in alone says little about what follows.
        self.has_answered = False

    def open(self) -> None:
        """Connect and sign in; what is left of an earlier connection is closed.

        Raises:
            RedisUnreachable: no server answers there in time, or the line was left.
            RedisRefused: the server does not accept the user, the password or the database.
        """
        self.close()
        connection = RedisConnection(
            self.address, timeout_seconds=0, connect_timeout_seconds=_CONNECT_SECONDS, name=self._name
        )
        with self._lock:
            self._connection = connection
            self.has_answered = False
            if self.has_left:
                connection.shut_down()

    @property
    def is_asked(self) -> bool:
        """Whether Redis owes an answer."""
        return self._asked_seconds is not None

    def ask(self, queues: Sequence[str]) -> None:
        """Ask for the next message of some queues, unless an answer is still to come.

        Raises:
            RedisUnreachable: the connection is gone.
        """
        if self._asked_seconds is None:
            self._connected().send(("BRPOP", *queues, WAIT_SECONDS))
            self._asked_seconds = self._now()

    def hear(self) -> tuple[str, bytes] | None:
        """Return the message that has come, with its queue; ``None`` when there is none, or not all of it.

        Raises:
            RedisUnreachable: the connection is gone.
            RedisRefused: Redis does not let us wait; nothing more comes from this connection.
        """
        for reply in self._connected().read_ready():
            self._asked_seconds = None
            if isinstance(reply, hiredis.ReplyError):
                raise RedisRefused(str(reply))
            self.has_answered = True
            if reply is not None:
                queue, message = reply
                return queue.decode(), message
        return None

    def check(self) -> None:
        """Look whether the answer is overdue: a peer that vanished without a word is noticed by nothing else.

        Raises:
            RedisUnreachable: it is.
        """
        connection = self._connected()
        if self._asked_seconds is None or self._now() - self._asked_seconds < WAIT_SECONDS + LATE_SECONDS:
            return
        # Where we ourselves were stopped for a while, the answer lies here and is heard next.
        if not connection.has_news(0):
            raise RedisUnreachable(f"Redis has not answered for {WAIT_SECONDS + LATE_SECONDS} s")

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until there is something to hear, for those who have no event loop; tell whether it came in time."""
        return self._connected().has_news(timeout_seconds)

    def fileno(self) -> int:
        """The connection, for an event loop."""
        return self._connected().fileno()

    def close(self) -> None:
        """Close the connection; twice is harmless."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._asked_seconds = None
        if connection is not None:
            connection.close()

    def cut(self) -> None:
        """Break the connection: what Redis is about to hand out stays in the queue. Any thread may call this."""
        with self._lock:
            if self._connection is not None:
                self._connection.shut_down()

    def leave(self) -> None:
        """Break the connection for good: one that is being made is of no use either. Any thread may call this."""
        self.has_left = True
        self.cut()

    def _connected(self) -> RedisConnection:
        if self._connection is None:
            raise RedisUnreachable("the queue is not connected")
        return self._connection
