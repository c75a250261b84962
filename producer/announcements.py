"""Hear of the ends of executions as they happen, without a thread and without polling.

One subscription serves all waiting threads of a process: whoever waits first reads the socket, and puts what is not
his own into the others' boxes. An announcement is only a hint; the ledger is what counts.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from ..broker_config import keys
from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.ids import new_token
from ..broker_config.redis_client import Redis, Subscription

#: Announcements kept for a slow reader; beyond that it is told to look at the ledger.
_BOX_COUNT = 50_000
#: How long one reader holds the socket before it looks whether another has left.
_TURN_SECONDS = 1.0


class Announcement(msgspec.Struct, frozen=True):
    """``kind`` is ``end``, ``state`` or ``output``; ``missed`` says that others may have been lost."""

    kind: str
    execution_id: str
    state: str = ""


#: Told to a listener whose connection was renewed or whose box ran over.
MISSED = Announcement("missed", "")


class Box(msgspec.Struct, eq=False):
    """What was announced to one listener and not taken by it yet."""

    invoke_id: str
    channel: str
    messages: deque[Announcement] = msgspec.field(default_factory=deque)


class Announcements:
    """Listens to the process' own done channel and, while somebody waits there, to others."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        #: Invocations made by this process announce their ends here.
        self.own_channel = keys.done_channel(new_token())
        self._subscription: Subscription | None = None
        self._boxes: dict[str, list[Box]] = {}
        self._channels: dict[str, int] = {}
        self._state = threading.Condition()
        self._reading = False

    @contextmanager
    def listen(self, invoke_id: str, channel: str) -> Iterator[Box]:
        """Collect the announcements of an invocation; from the moment this is entered none is lost unnoticed."""
        box = Box(invoke_id, channel)
        with self._state:
            self._boxes.setdefault(invoke_id, []).append(box)
            if self._subscription is None:
                self._subscription = self._redis.subscribe(self.own_channel, *self._channels)
            if channel != self.own_channel:
                if channel not in self._channels:
                    self._subscription.add(channel)
                    # Only a confirmed subscription hears everything from now on: a round trip on the same server.
                    self._redis.call("PING")
                self._channels[channel] = self._channels.get(channel, 0) + 1
        try:
            yield box
        finally:
            with self._state:
                self._boxes[invoke_id].remove(box)
                if not self._boxes[invoke_id]:
                    del self._boxes[invoke_id]
                self._leave(channel)

    def next(self, box: Box, timeout_seconds: float) -> Announcement | None:
        """Wait for the next announcement to a listener; ``None`` when there was none in time."""
        deadline = monotonic_seconds() + timeout_seconds
        while True:
            with self._state:
                if box.messages:
                    return box.messages.popleft()
                remaining = deadline - monotonic_seconds()
                if remaining <= 0:
                    return None
                if self._reading:
                    self._state.wait(min(remaining, _TURN_SECONDS))
                    continue
                self._reading = True
            try:
                self._read_once(min(remaining, _TURN_SECONDS))
            finally:
                with self._state:
                    self._reading = False
                    self._state.notify_all()

    def close(self) -> None:
        """Stop listening."""
        with self._state:
            if self._subscription is not None:
                self._subscription.close()
                self._subscription = None

    def _read_once(self, timeout_seconds: float) -> None:
        """Read one message and hand it to its boxes; after a lost connection all are told that some were missed."""
        try:
            if self._subscription is None:
                self._subscription = self._redis.subscribe(self.own_channel, *self._channels)
                self._tell_all_missed()
                return
            received = self._subscription.next(timeout_seconds)
        except (RedisUnreachable, RedisRefused):
            self._drop_subscription()
            raise
        if received is None:
            return
        kind, _, rest = received[1].decode("utf-8", "replace").partition(" ")
        execution, _, state = rest.partition(" ")
        with self._state:
            for box in self._boxes.get(execution.partition(".")[0], ()):
                if box.channel != received[0]:
                    continue
                if len(box.messages) >= _BOX_COUNT:
                    box.messages.clear()
                    box.messages.append(MISSED)
                box.messages.append(Announcement(kind, execution, state))

    def _drop_subscription(self) -> None:
        with self._state:
            if self._subscription is not None:
                self._subscription.close()
            self._subscription = None

    def _tell_all_missed(self) -> None:
        with self._state:
            for boxes in self._boxes.values():
                for box in boxes:
                    box.messages.append(MISSED)

    def _leave(self, channel: str) -> None:
        if channel not in self._channels:
            return
        self._channels[channel] -= 1
        if self._channels[channel] == 0:
            del self._channels[channel]
            if self._subscription is not None:
                # A connection that broke meanwhile has nothing to unsubscribe from.
                with suppress(RedisUnreachable):
                    self._subscription.remove(channel)
