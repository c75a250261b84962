"""Sleep until a moment, or until somebody says that a schedule is new or has changed."""

from ..broker_config import keys
from ..broker_config.redis.client import Redis, Subscription


class Wakeups:
    """Listens for changed schedules; one thread uses it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._subscription: Subscription | None = None

    def listen(self) -> None:
        """Make sure that changes from now on are heard.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not take the subscription.
        """
        if self._subscription is None:
            self._subscription = self._redis.subscribe(keys.TIMED_CHANGED_CHANNEL)

    def wait(self, seconds: float) -> None:
        """Sleep until something has changed, however much that was, or the time is up.

        Raises:
            RedisUnreachable: the connection broke; changes may be missed until ``listen`` has succeeded again.
        """
        if self._subscription is None or self._subscription.next(seconds) is None:
            return
        while self._subscription.next(0) is not None:
            pass

    def close(self) -> None:
        """Stop listening; ``listen`` begins anew."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
