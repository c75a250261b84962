"""A small thread-safe Redis client: a pool of connections, commands, pipelines, subscriptions.

Promise: a failed call says whether Redis was not there (``RedisUnreachable``) or said no (``RedisRefused``). Nothing is
retried after bytes were sent, because the caller alone knows whether that is safe.
"""

import threading
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import hiredis

from ..clock import monotonic_seconds
from ..errors import RedisRefused, RedisUnreachable
from .connection import Argument, Command, RedisConnection
from .url import RedisAddress, parse_url

#: Idle connections kept for the next caller, unless a program with more threads says otherwise.
_IDLE_COUNT = 8
#: A subscription on which nothing was said for this long is asked whether it is still there.
_SILENT_SECONDS = 10.0
#: An answer that is this late means that it is not.
_LATE_SECONDS = 5.0
#: Commands that change nothing and are answered at once: they may go along with the greeting.
_QUESTIONS = frozenset({
    "EXISTS", "GET", "HGET", "HGETALL", "HMGET", "LRANGE", "MGET", "PING", "SINTER", "SMEMBERS", "ZCARD", "ZRANGE",
    "ZREVRANGE", "ZREVRANGEBYSCORE",
})  # fmt: skip


class Redis:
    """Talk to one Redis; connections are made when first needed."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 15.0,
        connect_timeout_seconds: float = 2.0,
        name: str = "assist",
        idle_count: int = _IDLE_COUNT,
    ) -> None:
        """Take the address; nothing is connected yet.

        Raises:
            SettingsInvalid: the URL cannot be read.
        """
        self.address: RedisAddress = parse_url(url)
        self.url = url
        self.name = name
        self.timeout_seconds = timeout_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        self._idle_count = idle_count
        self._idle: list[tuple[float, RedisConnection]] = []
        self._lock = threading.Lock()

    def call(self, *command: Argument, timeout_seconds: float | None = None) -> Any:
        """Run one command and return its reply.

        Raises:
            RedisUnreachable: no answer; whether the command took effect is not known.
            RedisRefused: the server answered with an error.
        """
        reply = self.pipeline([command], timeout_seconds=timeout_seconds)[0]
        if isinstance(reply, hiredis.ReplyError):
            raise RedisRefused(str(reply))
        return reply

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        """Run commands in one round trip; an error reply stands in the list as a ``hiredis.ReplyError``.

        Where there are none, nothing is asked.
        """
        if not commands:
            return []
        connection = self._take_idle()
        if connection is None:
            if all(command[0] in _QUESTIONS for command in commands):
                return self._ask_with_greeting(commands)
            connection = self._connect()
        try:
            replies = connection.exchange(commands, timeout_seconds)
        except BaseException:
            # Ctrl-C between the request and its reply: the next reader would get our reply for its own.
            connection.close()
            raise
        self.give_back(connection)
        return replies

    def pipeline_or_raise(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip; the first error reply is raised as ``RedisRefused`` after all ran."""
        replies = self.pipeline(commands)
        raise_refused(replies)
        return replies

    def run_ahead(self, commands: Iterable[Command]) -> Generator[Any]:
        """Answer each command's reply, having sent the next one before: Redis works while we build.

        For commands whose replies are short: nobody reads while the next one is sent. An error reply is answered as a
        ``hiredis.ReplyError``, and the command after it has been sent by then.

        Raises:
            RedisUnreachable: no answer; whether the last two commands took effect is not known.
        """
        remaining = iter(commands)
        first = next(remaining, None)
        if first is None:
            return
        connection = self._take()
        try:
            connection.send(first)
            for command in remaining:
                connection.send(command)
                yield connection.receive()
            yield connection.receive()
        except BaseException:
            # Also when the caller stops asking: a reply that nobody read would be the next caller's.
            connection.close()
            raise
        self.give_back(connection)

    def begin(self, commands: Sequence[Command]) -> "Begun | None":
        """Send commands and answer where their replies will be; ``None``, and nothing sent, without an idle connection.

        Never waits: for a thread that has to go on while another one, later, takes the replies.

        Raises:
            RedisUnreachable: the connection broke; whether a command took effect is not known.
        """
        connection = self._take_idle()
        if connection is None:
            return None
        for command in commands:
            connection.send(command)
        return Begun(self, connection, commands)

    def send_off(self, command: Command) -> bool:
        """Send a command and leave its reply to whoever uses the connection next; an error is told to the log.

        For work that somebody else does later if it does not come about. False when that is so already: without an
        idle connection nothing is sent, and one that breaks may have lost it.
        """
        connection = self._take_idle()
        if connection is None:
            return False
        try:
            connection.send_owing(command)
        except RedisUnreachable:
            return False
        self.give_back(connection)
        return True

    def subscribe(self, *channels: str) -> "Subscription":
        """Open a connection of its own that listens to channels; it is subscribed when this returns."""
        return Subscription(self._connect([("SUBSCRIBE", *channels)]), len(channels))

    def close(self) -> None:
        """Close idle connections; later calls open new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def close_idle(self, older_than_seconds: float) -> None:
        """Close connections that nobody has used for that long."""
        limit = monotonic_seconds() - older_than_seconds
        with self._lock:
            old = [pair for pair in self._idle if pair[0] < limit]
            self._idle = [pair for pair in self._idle if pair[0] >= limit]
        for _, connection in old:
            connection.close()

    def _ask_with_greeting(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in the round trip in which a new connection signs in."""
        connection = self._connect(commands)
        replies, connection.answers = connection.answers, []
        self.give_back(connection)
        return replies

    def _connect(self, questions: Sequence[Command] = ()) -> RedisConnection:
        return RedisConnection(
            self.address,
            timeout_seconds=self.timeout_seconds,
            connect_timeout_seconds=self.connect_timeout_seconds,
            name=self.name,
            questions=questions,
        )

    def _take(self) -> RedisConnection:
        return self._take_idle() or self._connect()

    def _take_idle(self) -> RedisConnection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                _, connection = self._idle.pop()
            # A look costs 2 µs; Redis may have been restarted a moment ago.
            if not connection.is_stale():
                return connection
            connection.close()

    def give_back(self, connection: RedisConnection) -> None:
        """Keep a connection, on which nothing is under way, for the next caller."""
        with self._lock:
            if len(self._idle) < self._idle_count:
                self._idle.append((monotonic_seconds(), connection))
                return
        connection.close()


class Begun:
    """Commands that were sent, and whose replies nobody has read yet."""

    def __init__(self, redis: Redis, connection: RedisConnection, commands: Sequence[Command]) -> None:
        self.commands = commands
        self._redis = redis
        self._connection = connection

    def replies(self) -> list[Any]:
        """Read the replies, once; an error reply stands in the list as a ``hiredis.ReplyError``.

        Raises:
            RedisUnreachable: no answer; whether the commands took effect is not known.
        """
        try:
            replies = [self._connection.receive() for _ in self.commands]
        except BaseException:
            self._connection.close()
            raise
        self._redis.give_back(self._connection)
        return replies


def raise_refused(replies: Iterable[Any]) -> None:
    """Raise the first error reply as ``RedisRefused``."""
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise RedisRefused(str(reply))


class Subscription:
    """Messages of some channels, on a connection of their own. One thread reads."""

    def __init__(self, connection: RedisConnection, channels_count: int) -> None:
        """Take a connection that has asked for so many channels and has the first answer.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not let us listen.
        """
        self._connection = connection
        replies = connection.answers
        while len(replies) < channels_count and not isinstance(replies[-1], hiredis.ReplyError):
            replies.append(connection.read_pushed(5.0))
            if replies[-1] is None:
                connection.close()
                raise RedisUnreachable("Redis did not confirm the subscription within 5 s")
        if isinstance(replies[-1], hiredis.ReplyError):
            connection.close()
            raise RedisRefused(str(replies[-1]))
        self._heard_at = monotonic_seconds()
        #: When it was asked whether it is still there; 0 while no answer is due.
        self._asked_at = 0.0

    def next(self, timeout_seconds: float) -> tuple[str, bytes] | None:
        """Wait for the next (channel, message); ``None`` when there was none in time.

        Raises:
            RedisUnreachable: the connection is gone; messages may have been missed, so look at the ledger.
        """
        deadline = monotonic_seconds() + timeout_seconds
        while True:
            reply = self._connection.read_pushed(max(0.0, deadline - monotonic_seconds()))
            if reply is None:
                self._check()
                return None
            self._heard_at, self._asked_at = monotonic_seconds(), 0.0
            if isinstance(reply, list) and reply[0] == b"message":
                return reply[1].decode(), reply[2]

    def _check(self) -> None:
        """Notice a peer that vanished without a word: nothing else would, for we only listen."""
        now = monotonic_seconds()
        if self._asked_at and now - self._asked_at > _LATE_SECONDS:
            raise RedisUnreachable(f"Redis has said nothing to who listens for {now - self._heard_at:.0f} s")
        if not self._asked_at and now - self._heard_at > _SILENT_SECONDS:
            self._connection.send(("PING",))
            self._asked_at = now

    def next_at_hand(self) -> tuple[str, bytes] | None:
        """The next (channel, message) that came together with the last one; ``None`` when there is no more."""
        while (reply := self._connection.read_received()) is not None:
            if isinstance(reply, list) and reply[0] == b"message":
                return reply[1].decode(), reply[2]
        return None

    def add(self, channel: str) -> None:
        """Listen to one more channel; it takes effect as soon as Redis reads it."""
        self._connection.send(("SUBSCRIBE", channel))

    def remove(self, channel: str) -> None:
        """Stop listening to a channel."""
        self._connection.send(("UNSUBSCRIBE", channel))

    def fileno(self) -> int:
        """The socket, for select()."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
