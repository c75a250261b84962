"""Ring when something about an invocation changes, for requests that wait without holding a thread.

One thread and one subscription serve all who wait, and both exist only while somebody does. A ring is a hint: whoever
hears it looks at the ledger, and looks now and then without one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.client import Redis, Subscription

_TURN_SECONDS = 0.5
_RETRY_SECONDS = 1.0

_log = logger("gateway")


@dataclass(eq=False)
class Ear:
    """One who waits; told at most once per ``listen``."""

    channel: str
    invoke_id: str
    ring: Callable[[], None]


class ChangeBell:
    """Hears what agents announce on the channels of the invocations that somebody waits for."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._ears: dict[str, set[Ear]] = {}
        self._subscription: Subscription | None = None
        self._reader: threading.Thread | None = None

    def listen(self, channel: str, invoke_id: str, ring: Callable[[], None]) -> Ear:
        """Have ``ring`` called, from another thread, at each announcement about the invocation."""
        ear = Ear(channel, invoke_id, ring)
        with self._lock:
            is_new = channel not in self._ears
            self._ears.setdefault(channel, set()).add(ear)
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="gateway-bell", daemon=True)
                self._reader.start()
            elif is_new and self._subscription is not None:
                self._tell(lambda subscription: subscription.add(channel))
        return ear

    def leave(self, ear: Ear) -> None:
        """Stop listening."""
        with self._lock:
            ears = self._ears.get(ear.channel)
            if ears is None or ear not in ears:
                return
            ears.discard(ear)
            if not ears:
                del self._ears[ear.channel]
                self._tell(lambda subscription: subscription.remove(ear.channel))

    def _tell(self, what: Callable[[Subscription], None]) -> None:
        if self._subscription is None:
            return
        try:
            what(self._subscription)
        except RedisUnreachable:
            # The reader notices the same, renews the subscription and rings everybody.
            _log.debug("bell lost its connection")

    def _read(self) -> None:
        pause = threading.Event()
        while True:
            with self._lock:
                channels = list(self._ears)
                if not channels:
                    self._close()
                    self._reader = None
                    return
            try:
                self._read_some(channels)
            except (RedisUnreachable, RedisRefused) as exc:
                _log.warning("bell does not hear Redis and tries again: %s", exc)
                with self._lock:
                    self._close()
                pause.wait(_RETRY_SECONDS)

    def _read_some(self, channels: list[str]) -> None:
        subscription = self._subscription
        if subscription is None:
            subscription = self._redis.subscribe(*channels)
            with self._lock:
                self._subscription = subscription
                for late in set(self._ears) - set(channels):
                    subscription.add(late)
            # What was said before the subscription stood was heard by nobody.
            self._ring(lambda _: True)
        received = subscription.next(_TURN_SECONDS)
        if received is not None:
            channel, message = received
            invoke_id = message.decode("utf-8", "replace").partition(" ")[2].partition(".")[0]
            self._ring(lambda ear: ear.channel == channel and ear.invoke_id == invoke_id)

    def _ring(self, concerns: Callable[[Ear], bool]) -> None:
        with self._lock:
            wanted = [ear for ears in self._ears.values() for ear in ears if concerns(ear)]
        for ear in wanted:
            ear.ring()

    def _close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
