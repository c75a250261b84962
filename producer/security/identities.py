"""Give instances their identity, and take it back: a Redis user, a key, and what remembers both."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import RecordUnreadable
from ...broker_config.functions.function_library import load_library
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command
from ...broker_config.redis.url import parse_url
from ...broker_config.security.signing import KeyId, MasterKeys
from ...broker_config.unreadable import raised, read_or_tell
from .agent_rights import agent_rules, agent_user
from .credentials import Credentials
from .redis_users import new_password, password_digest, put_user, remove_user, replace_user, save_users

#: Generations are drawn, not counted: an id that is registered anew never gets a key that it had before.
GENERATIONS_COUNT = 10**9


class StoredCredentials(msgspec.Struct, frozen=True):
    """What is kept of credentials: enough to make the Redis user anew, and nothing that opens anything."""

    password_digest: str
    issued_ms: int
    #: The key that the agent was sent and has not confirmed.
    next_key_id: str = ""


@dataclass(frozen=True)
class Issued:
    """New credentials, and whether the server will still know their user after a restart."""

    credentials: Credentials
    is_saved: bool


_decoder = msgspec.json.Decoder(StoredCredentials)


def issue(redis: Redis, master: MasterKeys, instance_id: str, *, agent_redis_url: str = "") -> Issued:
    """Give an instance new credentials; earlier ones open nothing any more, and their connections are cut.

    ``agent_redis_url`` is where agents reach Redis; else it is the address that this program uses.

    Raises:
        RedisRefused: our Redis user may not manage users.
    """
    user, password = agent_user(instance_id), new_password()
    key_id = str(KeyId(master.current, 1 + secrets.randbelow(GENERATIONS_COUNT - 1)))
    # An agent may not load functions, so they must be there before it comes.
    load_library(redis)
    stored = StoredCredentials(password_digest(password), now_ms())
    replace_user(
        redis,
        user,
        stored.password_digest,
        agent_rules(instance_id, database=redis.address.db),
        [
            ("HSET", keys.KEY_IDS, instance_id, key_id),
            ("HSET", keys.CREDENTIALS, instance_id, msgspec.json.encode(stored)),
            ("DEL", keys.key_bundle(instance_id)),
        ],
    )
    reached_at = parse_url(agent_redis_url or redis.url)
    credentials = Credentials(
        instance_id=instance_id,
        redis_url=reached_at.with_user(user, password),
        key_id=key_id,
        key=master.instance_key(instance_id, key_id),
    )
    return Issued(credentials, save_users(redis))


def revoke(redis: Redis, instance_id: str) -> bool:
    """Take an instance's identity away: its connections end now, its user and keys are good for nothing.

    Answers whether it had one.
    """
    key_gone: list[Command] = [("HDEL", keys.KEY_IDS, instance_id), ("DEL", keys.key_bundle(instance_id))]
    if not has_credentials(redis, instance_id):
        # Whoever may not manage users has none to take away here.
        redis.pipeline_or_raise(key_gone)
        return False
    removed = remove_user(redis, agent_user(instance_id), [*key_gone, ("HDEL", keys.CREDENTIALS, instance_id)])
    if removed:
        save_users(redis)
    return removed


def has_credentials(redis: Redis, instance_id: str) -> bool:
    """Tell whether credentials were issued for an instance."""
    return bool(redis.call("HEXISTS", keys.CREDENTIALS, instance_id))


def restore_users(redis: Redis, instance_ids: Sequence[str]) -> None:
    """Make the Redis users of these instances anew, with the passwords that their agents have.

    A server forgets them when it is restarted without an ACL file, or when another takes over.
    """
    stored = load_credentials(redis)
    for one in instance_ids:
        put_user(redis, agent_user(one), stored[one].password_digest, agent_rules(one, database=redis.address.db))
    save_users(redis)


def load_credentials(redis: Redis) -> dict[str, StoredCredentials]:
    """What is kept of the credentials of all instances.

    Raises:
        RecordUnreadable: one of them cannot be read.
    """
    reply = redis.call("HGETALL", keys.CREDENTIALS)
    pairs = ((name.decode(), text) for name, text in zip(reply[::2], reply[1::2], strict=True))
    return {one: raised(_read(one, text)) for one, text in pairs}


def _read(instance_id: str, stored: bytes) -> StoredCredentials | RecordUnreadable:
    what = f"what is kept of the credentials of {instance_id}"
    remedy = f"Give it new ones: assist instance rotate {instance_id} --credentials FILE"
    return read_or_tell(what, remedy, decode_credentials, stored)


def stored_credentials(redis: Redis, instance_id: str) -> bytes | None:
    """What is kept of one instance's credentials, as it stands in Redis; ``None`` when it has none."""
    found: bytes | None = redis.call("HGET", keys.CREDENTIALS, instance_id)
    return found


def decode_credentials(stored: bytes) -> StoredCredentials:
    """Read what is kept of credentials."""
    return _decoder.decode(stored)


def with_next_key(stored: bytes, next_key_id: str) -> bytes:
    """The same credentials with another key that was sent and is not confirmed."""
    return msgspec.json.encode(msgspec.structs.replace(decode_credentials(stored), next_key_id=next_key_id))
