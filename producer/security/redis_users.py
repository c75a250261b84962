"""Make, replace and remove users of the Redis server."""

import hashlib
import secrets
from collections.abc import Sequence

from ...broker_config.errors import RedisRefused
from ...broker_config.redis_client import Redis

#: 256 bits: nothing to guess, and safe to keep as a plain digest.
_PASSWORD_BYTES = 32


def new_password() -> str:
    """Make a password that needs no escaping anywhere."""
    return secrets.token_hex(_PASSWORD_BYTES)


def password_digest(password: str) -> str:
    """The form in which Redis and we keep a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def put_user(redis: Redis, name: str, digest: str, rules: Sequence[str]) -> None:
    """Make a user, or replace password and rights of one; connections that it has keep working.

    Raises:
        RedisRefused: our own Redis user may not manage users; the text says what to do.
    """
    _manage(redis, "SETUSER", name, "resetpass", "clearselectors", "on", f"#{digest}", *rules)


def remove_user(redis: Redis, name: str) -> bool:
    """Remove a user and cut all its connections at once; false when there was none.

    Raises:
        RedisRefused: our own Redis user may not manage users.
    """
    removed = bool(_manage(redis, "DELUSER", name))
    cut_connections(redis, name)
    return removed


def cut_connections(redis: Redis, name: str) -> int:
    """Cut all connections of a user; answers how many."""
    try:
        return int(redis.call("CLIENT", "KILL", "USER", name))
    except RedisRefused as exc:
        if "No such user" in str(exc):
            return 0
        raise


def save_users(redis: Redis) -> bool:
    """Have the server write its users to its ACL file; false when it has none, so that it forgets them at its end."""
    try:
        redis.call("ACL", "SAVE")
    except RedisRefused as exc:
        if "not configured to use an ACL file" in str(exc):
            return False
        raise
    return True


def may_not_manage(redis: Redis, refusal: RedisRefused) -> RedisRefused:
    """What to raise where Redis says that our own user may not manage users: it names who may."""
    return RedisRefused(
        f"NOPERM the Redis user {redis.address.user or 'default'} may not manage users; use the server's "
        f"administrator in --redis-url for this ({refusal})"
    )


def _manage(redis: Redis, *command: str) -> object:
    try:
        return redis.call("ACL", *command)
    except RedisRefused as exc:
        if exc.kind != "NOPERM":
            raise
        raise may_not_manage(redis, exc) from exc
