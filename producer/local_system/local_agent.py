"""Make this machine's own agent ready to start: its home, its registration, its credentials."""

import tomllib
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.functions.instances import register_instance
from ...broker_config.machine_name import machine_name
from ...broker_config.redis.client import Redis
from ...broker_config.settings import Loaded
from ..security.credentials import Credentials
from ..security.identities import has_credentials, restore_users
from ..security.trust import Trust
from .programs import Program, agent_program, handed_down

_CREDENTIALS = "credentials.toml"


def prepare_local_agent(loaded: Loaded, home: Path, *, redis_url: str, instance_id: str) -> Program:
    """Register the local agent and give it credentials, where those of an earlier start open nothing any more.

    Redis runs by now. Where its users are not ours to manage, the agent uses the address that we were given.
    """
    agent_home = home / "agents" / instance_id
    for folder in (agent_home.parent, agent_home):
        folder.mkdir(mode=0o700, exist_ok=True)
    file = agent_home / _CREDENTIALS
    redis = Redis(redis_url, name="assist-up")
    try:
        register_instance(redis, instance_id, {"name": machine_name()}, now_ms=now_ms(), must_be_new=True)
        trust = Trust(redis, replace(loaded.settings, home=str(home), redis_url=redis_url))
        if _still_open(redis, file):
            _renew_rights(redis, instance_id)
        else:
            _make(trust, redis, instance_id).write(file)
    finally:
        redis.close()
    environment = handed_down("agent", loaded, home=agent_home, redis_url="")
    return agent_program(instance_id, environment, file)


def _make(trust: Trust, redis: Redis, instance_id: str) -> Credentials:
    try:
        return trust.issue_credentials(instance_id).credentials
    except RedisRefused as exc:
        if exc.kind != "NOPERM":
            raise
    master = trust.master
    redis.call("HSET", keys.KEY_IDS, instance_id, master.current)
    return Credentials(
        instance_id=instance_id, redis_url=redis.url, key_id=master.current, key=master.instance_key(instance_id)
    )


def _renew_rights(redis: Redis, instance_id: str) -> None:
    """A newer release may need other rights than the one that made the user, if users are ours to manage."""
    if not has_credentials(redis, instance_id):
        return
    try:
        restore_users(redis, [instance_id])
    except RedisRefused as exc:
        if exc.kind != "NOPERM":
            raise


def _still_open(redis: Redis, file: Path) -> bool:
    """Tell whether a file of credentials still opens this Redis, with the key that producers sign with."""
    try:
        read = tomllib.loads(file.read_text(encoding="utf-8"))
        agent = Redis(read["redis_url"], name="assist-up")
        key_id = read["security"]["instance_key"].partition(":")[0]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return False
    nobody = {"user": "", "password": ""}
    same_place = structs.replace(agent.address, **nobody) == structs.replace(redis.address, **nobody)
    if not same_place or redis.call("HGET", keys.KEY_IDS, read["instance_id"]) != key_id.encode():
        return False
    try:
        agent.call("PING")
    except (RedisRefused, RedisUnreachable):
        return False
    finally:
        agent.close()
    return True
