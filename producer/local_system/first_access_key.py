"""The first access key of a local system: made when there is none, and shown this once."""

from ...broker_config.redis.client import Redis
from ...broker_config.security.signing import MasterKeys
from ..security.access_keys import AccessKeys
from ..security.roles import Role

_NAME = "assist up"


def make_first_access_key(redis_url: str, master: MasterKeys) -> tuple[str, str] | None:
    """Make an admin's access key unless there is a key already; answer (id, secret) of the new one."""
    redis = Redis(redis_url, name="assist-up")
    try:
        stored = AccessKeys(redis, master)
        return None if stored.list() else stored.create(_NAME, Role.ADMIN)
    finally:
        redis.close()
