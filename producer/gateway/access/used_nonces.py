"""Remember used nonces in Redis, for all gateways together."""

import hashlib

from ....broker_config import keys
from ....broker_config.redis.client import Redis


class UsedNonces:
    """One short-lived key per accepted request."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def remember(self, access_key_id: str, nonce: str, ttl_seconds: int) -> bool:
        """Remember a nonce; false if this key had used it already.

        Raises:
            RedisUnreachable: it cannot be told, so the request must not be accepted.
        """
        digest = hashlib.sha256(f"{access_key_id}\n{nonce}".encode()).hexdigest()[:32]
        return self._redis.call("SET", keys.used_nonce(digest), b"", "NX", "EX", ttl_seconds) is not None
