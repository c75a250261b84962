"""Hear of the ends of executions as they happen, without a thread and without polling.

One subscription serves all waiting threads of a process: whoever waits first reads the socket, and puts what is for
others into their boxes. An announcement is only a hint; the ledger is what counts, or a row that is proved.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from ...broker_config import keys
from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.ids import new_token
from ...broker_config.redis.client import Redis, Subscription

#: Announcements kept for a slow reader; beyond that it is told to look at the ledger.
_BOX_COUNT = 50_000
#: The same for one that does not listen yet, and perhaps never will.
_EARLY_BOX_COUNT = 500
#: Rows kept in one box; of further ends only the announcement is kept, and their rows have to be read.
_BOX_ROWS_BYTES = 256 * 1024
#: Longer than any kind, execution and state together: whoever knows the channel may announce anything.
_WORDS_BYTES = 256


class Announcement(msgspec.Struct, frozen=True):
    """``kind`` is ``end``, ``state`` or ``output``; ``missed`` says that others may have been lost.

    With an end its row may come, which is worth as much as its proof: see ``announced_rows``.
    """

    kind: str
    execution_id: str
    state: str = ""
    row: bytes = b""


#: Told to a listener whose connection was renewed or whose box ran over.
MISSED = Announcement("missed", "")


class Box(msgspec.Struct, eq=False):
    """What was announced to one listener and not taken by it yet."""

    invoke_id: str
    channel: str
    wants_output: bool
    most_count: int = _BOX_COUNT
    messages: deque[Announcement] = msgspec.field(default_factory=deque)
    rows_bytes: int = 0

    def put(self, one: Announcement) -> None:
        """Keep an announcement, within the limits of the box."""
        if len(self.messages) >= self.most_count:
            self.messages.clear()
            self.messages.append(MISSED)
            self.rows_bytes = 0
        if one.row:
            if self.rows_bytes + len(one.row) > _BOX_ROWS_BYTES:
                one = msgspec.structs.replace(one, row=b"")
            self.rows_bytes += len(one.row)
        self.messages.append(one)

    def take(self, most_count: int) -> list[Announcement]:
        """Take out what is there, the oldest first."""
        messages = self.messages
        taken = [messages.popleft() for _ in range(min(most_count, len(messages)))]
        self.rows_bytes -= sum(len(one.row) for one in taken)
        return taken


class Announcements:
    """Listens to the process' own done channel and, while somebody waits there, to others."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        #: Invocations made by this process announce their ends here.
        self.own_channel = keys.done_channel(new_token())
        self._subscription: Subscription | None = None
        self._boxes: dict[str, list[Box]] = {}
        self._channels: dict[str, int] = {}
        #: Taken by itself: a condition's own way to it is Python code, and each wait passes here nine times.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._reading = False
        self._beginning: threading.Thread | None = None
        self._wants_output = False

    def listen_soon(self, *, wants_output: bool) -> None:
        """Begin to listen in a thread, beside what the caller does next; ``expect`` waits for that.

        With ``wants_output`` what is expected comes with its output.
        """
        self._wants_output = wants_output
        self._beginning = threading.Thread(target=self._begin, name="listening", daemon=True)
        self._beginning.start()

    def expect(self, invoke_id: str) -> Box | None:
        """Collect from now on what is announced of an invocation that is about to be made here.

        Of its output only when that was asked for. ``None`` while this process listens to nothing. A caller that does
        not ``listen`` with the box later must ``leave`` it.
        """
        self._await_beginning()
        with self._lock:
            if self._subscription is None:
                return None
            box = Box(invoke_id, self.own_channel, self._wants_output, most_count=_EARLY_BOX_COUNT)
            self._boxes.setdefault(invoke_id, []).append(box)
            return box

    @contextmanager
    def listen(
        self, invoke_id: str, channel: str, *, wants_output: bool = True, expected: Box | None = None
    ) -> Iterator[Box]:
        """Collect the announcements of an invocation; from the moment this is entered none is lost unnoticed.

        With ``expected`` from the moment that box was made.
        """
        self._await_beginning()
        box = expected or Box(invoke_id, channel, wants_output)
        has_joined = False
        try:
            with self._lock:
                if channel != self.own_channel:
                    self._channels[channel] = self._channels.get(channel, 0) + 1
                    has_joined = True
                if expected is None:
                    self._boxes.setdefault(invoke_id, []).append(box)
            # Who comes new looks at all there is after this, and needs nobody to tell him that he missed something.
            self._join(channel, newcomer=None if expected else box)
            yield box
        finally:
            with self._lock:
                self.leave(box)
                if has_joined:
                    self._leave_channel(channel)

    def leave(self, box: Box) -> None:
        """Collect nothing more."""
        with self._lock:
            boxes = self._boxes.get(box.invoke_id, [])
            if box in boxes:
                boxes.remove(box)
            if not boxes:
                self._boxes.pop(box.invoke_id, None)

    def next(self, box: Box, timeout_seconds: float, most_count: int = 1) -> list[Announcement]:
        """Wait for the next announcement to a listener; answer it and those behind it, or none after the time."""
        deadline = monotonic_seconds() + timeout_seconds
        while True:
            is_reader = False
            try:
                with self._lock:
                    if box.messages:
                        return box.take(most_count)
                    remaining = deadline - monotonic_seconds()
                    if remaining <= 0:
                        return []
                    if self._reading:
                        self._changed.wait(remaining)
                        continue
                    # Together: Ctrl-C as the lock is left must not leave it said for good that somebody reads.
                    self._reading = is_reader = True
                self._read_once(remaining)
            finally:
                if is_reader:
                    self._end_reading()

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            if self._subscription is not None:
                self._drop(self._subscription)

    def _begin(self) -> None:
        # Whoever needs it next tries it himself, and is told what is wrong.
        with suppress(RedisUnreachable, RedisRefused):
            subscription = self._redis.subscribe(self.own_channel)
            with self._lock:
                if self._subscription is None and not self._boxes:
                    self._subscription = subscription
                    return
            # Others listen by now, to more channels than this one.
            subscription.close()

    def _await_beginning(self) -> None:
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.join()

    def _read_once(self, timeout_seconds: float) -> None:
        """Wait for a message and hand out all that came; after a lost connection all are told that some were missed."""
        subscription = self._subscription
        if subscription is None:
            self._subscribe()
            return
        try:
            received = subscription.next(timeout_seconds)
            while received is not None:
                self._hand_out(*received)
                received = subscription.next_at_hand()
        except BaseException:
            # Ctrl-C too: what was read and not handed out is not to be missed by others without a word.
            self._drop(subscription)
            raise

    def _hand_out(self, channel: str, message: bytes) -> None:
        words, row = message.split(b" ", 3), b""
        if len(words) == 4:
            row = words.pop()
        if sum(map(len, words)) > _WORDS_BYTES:
            return
        kind, execution, state = (*(one.decode("utf-8", "replace") for one in words), "", "")[:3]
        with self._lock:
            for box in self._boxes.get(execution.partition(".")[0], ()):
                if box.channel == channel and (kind != "output" or box.wants_output):
                    box.put(Announcement(kind, execution, state, row))

    def _end_reading(self) -> None:
        with self._lock:
            self._reading = False
            self._changed.notify_all()

    def _subscribe(self, newcomer: Box | None = None) -> None:
        """Listen anew, by whoever reads; those who listen already are told that they may have missed something.

        It may take seconds, in which others wait no longer than they want to.
        """
        with self._lock:
            channels = set(self._channels)
        made = self._redis.subscribe(self.own_channel, *channels)
        try:
            with self._lock:
                # Others may have joined meanwhile, with more channels.
                late = [one for one in self._channels if one not in channels]
                for one in late:
                    made.add(one)
                self._subscription = made
            if late:
                self._confirm()
            self._tell_missed(newcomer)
        except BaseException:
            # Who was not told that something may be missing is told by the next one who connects.
            self._drop(made)
            raise

    def _confirm(self) -> None:
        """Return when Redis has seen what was asked for last on the subscription: a round trip on the same server."""
        self._redis.call("PING")

    def _tell_missed(self, newcomer: Box | None) -> None:
        with self._lock:
            for boxes in self._boxes.values():
                for box in boxes:
                    if box is not newcomer:
                        box.messages.append(MISSED)

    def _join(self, channel: str, newcomer: Box | None) -> None:
        """Be subscribed, to a channel too; while Redis is away whoever reads first subscribes instead."""
        subscription, is_reader = None, False
        try:
            with self._lock:
                subscription = self._subscription
                if subscription is None:
                    if self._reading:
                        # Who connects just now, or reads next, asks for this channel too, and says so to all.
                        return
                    self._reading = is_reader = True
                elif channel != self.own_channel:
                    subscription.add(channel)
            if is_reader:
                self._subscribe(newcomer)
            elif channel != self.own_channel:
                # Only a confirmed subscription hears everything from now on.
                self._confirm()
        except (RedisUnreachable, RedisRefused):
            if subscription is not None:
                # It broke while nobody read from it, or is perhaps not subscribed: nobody must take it for heard.
                self._drop(subscription)
        finally:
            if is_reader:
                self._end_reading()

    def _drop(self, broken: Subscription) -> None:
        with self._lock:
            broken.close()
            # Somebody may have subscribed anew meanwhile.
            if self._subscription is broken:
                self._subscription = None

    def _leave_channel(self, channel: str) -> None:
        self._channels[channel] -= 1
        if self._channels[channel] == 0:
            del self._channels[channel]
            if self._subscription is not None:
                # One that broke while nobody read from it has nothing to unsubscribe from; whoever reads next is told.
                with suppress(RedisUnreachable):
                    self._subscription.remove(channel)
