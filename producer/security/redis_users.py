"""Make, replace and remove users of the Redis server."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from ...broker_config.errors import RedisRefused
from ...broker_config.redis.client import Redis, raise_refused
from ...broker_config.redis.connection import Command

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
    _manage(redis, [_making(name, digest, rules)])


def replace_user(redis: Redis, name: str, digest: str, rules: Sequence[str], kept: Sequence[Command]) -> None:
    """Replace a user, whose connections end at once, and with it what is kept of it: both or neither.

    Whoever does the same at the same moment leaves the one or the other, and no mixture of them.

    Raises:
        RedisRefused: our own Redis user may not manage users.
    """
    _manage(redis, [("MULTI",), ("ACL", "DELUSER", name), _making(name, digest, rules), *kept, ("EXEC",)])


def remove_user(redis: Redis, name: str, kept: Sequence[Command]) -> bool:
    """Remove a user, whose connections end at once, and with it what is kept of it; false when there was no user.

    Raises:
        RedisRefused: our own Redis user may not manage users.
    """
    removed = _manage(redis, [("MULTI",), ("ACL", "DELUSER", name), *kept, ("EXEC",)])[-1][0]
    cut_connections(redis, name)
    return bool(removed)


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


def _making(name: str, digest: str, rules: Sequence[str]) -> Command:
    return ("ACL", "SETUSER", name, "resetpass", "clearselectors", "on", f"#{digest}", *rules)


def _manage(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    try:
        replies = redis.pipeline_or_raise(commands)
        if isinstance(replies[-1], list):
            # What went wrong within a transaction stands in the reply to its end.
            raise_refused(replies[-1])
    except RedisRefused as exc:
        if exc.kind != "NOPERM":
            raise
        raise may_not_manage(redis, exc) from exc
    return replies
