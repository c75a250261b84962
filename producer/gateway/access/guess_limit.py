"""Count wrong guesses by the address they come from, for all gateways together."""

from ....broker_config import keys
from ....broker_config.redis.client import Redis, raise_refused
from ..api_errors import api_error
from ..serving.client_address import network_of

WINDOW_SECONDS = 60


class GuessLimit:
    """Lets an address guess wrong a few times within a minute, and no more."""

    def __init__(self, redis: Redis, what: str, most_count: int) -> None:
        self._redis = redis
        self._what = what
        self._most_count = most_count

    def require(self, address: str) -> None:
        """Return if this address may try.

        Raises:
            ApiError: ``Throttling.User``, with the time to wait.
        """
        if not self._most_count:
            return
        key = keys.rate(self._what, network_of(address))
        count, left_seconds = self._redis.pipeline_or_raise([("GET", key), ("TTL", key)])
        if int(count or 0) >= self._most_count:
            raise api_error(
                "Throttling.User",
                "Too many wrong attempts came from this address.",
                retry_after_seconds=max(1, left_seconds),
            )

    def note_wrong(self, address: str) -> None:
        """Count one wrong guess, in a window that begins with the first one.

        Raises:
            RedisUnreachable, RedisRefused: it is not counted, or at least not told to be.
        """
        key = keys.rate(self._what, network_of(address))
        # Both or neither: a count without an end, once it is at the limit, would keep the address out for ever.
        count = [("INCR", key), ("EXPIRE", key, WINDOW_SECONDS, "NX")]
        raise_refused(self._redis.pipeline_or_raise([("MULTI",), *count, ("EXEC",)])[-1])
