"""A transport of kombu on our own connection to Redis, so that an agent imports no redis-py.

It consumes and does nothing else: an agent publishes nothing through kombu. A message is taken with BRPOP and lives
from then on in this process alone, as with kombu's ``ack_emulation`` off: the row in the ledger is the truth, and a
lost message is put back by whoever looks at the ledger. Prefetch is kombu's own.
"""

from itertools import count
from typing import Any

from kombu.message import Message
from kombu.transport import virtual

from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import RedisRefused
from ...broker_config.programs.program_log import logger
from .line import QueueLine
from .message import MessageUnreadable, QueuedMessage, read_message

#: How often a waiting agent looks whether Redis owes it an answer.
_CHECK_SECONDS = 5.0
#: Without an event loop: how long a full consumer waits before it looks for room again.
_FULL_SECONDS = 0.05

_log = logger("queue")
_tags = count(1)


class QueueMessage(Message):
    """A message that was taken."""

    def __init__(self, payload: QueuedMessage, channel: Any = None, **_: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # kombu's types are few
            body=payload.body,
            channel=channel,
            # Not the one that its producer gave it: copies of a message have the same, and each takes a place.
            delivery_tag=next(_tags),
            content_type=payload.content_type,
            headers=payload.headers,
        )


class QueueChannel(virtual.Channel):
    """The one channel of a connection."""

    Message = QueueMessage  # type: ignore[assignment]  # no virtual one: that takes the stored form apart itself
    #: Kombu would put what was not worked on back into the queue when it closes a connection, or, where that fails,
    #: into a file in the common temporary folder.
    do_restore = False

    def wanted(self) -> list[str]:
        """The queues to take the next message from; none while as many as agreed are unacknowledged."""
        return self._active_queues if self.qos.can_consume() else []


class QueueTransport(virtual.Transport):
    """Kombu's way to the line; the transport option ``line`` holds it."""

    Channel = QueueChannel
    driver_type = "redis"
    driver_name = "hiredis"
    #: The address is the line's business; kombu is to leave what it is told of it alone.
    can_parse_url = True
    implements = virtual.Transport.implements.extend(asynchronous=True, exchange_type=frozenset({"direct"}))
    #: A refusal ends a connection as well: what was refused is all that it is there for.
    connection_errors = (OSError, RedisRefused)  # type: ignore[assignment]

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)  # type: ignore[no-untyped-call]
        self._line: QueueLine = client.transport_options["line"]
        self._loop: Any = None
        self._watched = -1
        self._checks: Any = None

    def establish_connection(self) -> Any:
        """Connect."""
        self._line.open()
        return super().establish_connection()  # type: ignore[no-untyped-call]

    def close_connection(self, connection: Any) -> None:
        """Leave the event loop and close."""
        if self._loop is not None:
            # The loop may go on, with or without its readers: an error in it takes those away and these not.
            self._loop.on_tick.discard(self._ask)
            self._loop.remove_reader(self._watched)
            self._checks.cancel()
            self._loop = None
        self._line.close()
        super().close_connection(connection)  # type: ignore[no-untyped-call]

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The address for people; there is no password in it."""
        return self._line.address.shown()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have an event loop ask, hear and check."""
        self._loop = loop
        loop.on_tick.add(self._ask)
        self._watched = self._line.fileno()
        loop.add_reader(self._watched, self._hear)
        self._checks = loop.call_repeatedly(_CHECK_SECONDS, self._line.check)

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Take one message without an event loop, as Celery does on Windows.

        Raises:
            TimeoutError: there was none in time.
        """
        end_seconds = monotonic_seconds() + (timeout if timeout is not None else float("inf"))
        while True:
            self._ask()
            self._line.check()
            left_seconds = end_seconds - monotonic_seconds()
            if left_seconds <= 0:
                raise TimeoutError
            most_seconds = _CHECK_SECONDS if self._line.is_asked else _FULL_SECONDS
            if self._line.wait(min(left_seconds, most_seconds)) and self._hear():
                return

    def _ask(self) -> None:
        for channel in self.channels:
            if queues := channel.wanted():
                self._line.ask(queues)

    def _hear(self) -> bool:
        """Hand on what has come; tell whether that was a message for somebody."""
        heard = self._line.hear()
        if heard is None:
            return False
        queue, stored = heard
        try:
            message = read_message(stored)
        except MessageUnreadable as exc:
            _log.warning("dropped a message that cannot be read: %s", exc)
            return False
        take = self._callbacks.get(queue)
        if take is None:
            # Nobody consumes any more; whoever looks at the ledger puts the message back.
            return False
        take(message)
        return True
