"""The control side with a master key, and what somebody with write access to Redis can do to the audit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.broker_config.settings import load
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant
from harness.redis_server import RedisServer

Entry = tuple[bytes, list[bytes]]


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Settings of a control side that has a home and a master key."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    write_master_keys(home / "master-key.json", new_master_keys())
    return replace(load({"home": str(home)}).settings, redis_url=redis_server.url())


@pytest.fixture
def assistant(settings: Settings) -> Iterator[Assistant]:
    with Assistant(settings=settings) as made:
        yield made


@pytest.fixture
def redis(assistant: Assistant) -> Redis:
    """What an attacker may use as well."""
    return assistant.redis


@pytest.fixture
def entries(redis: Redis) -> Callable[[], list[Entry]]:
    """The audit as it lies in Redis."""
    return lambda: list(redis.call("XRANGE", keys.AUDIT, "-", "+"))


@pytest.fixture
def rewrite(redis: Redis) -> Callable[[Sequence[Entry]], None]:
    """Put other entries in place of all, the last one as the head."""

    def put(changed: Sequence[Entry]) -> None:
        redis.call("DEL", keys.AUDIT)
        for place, (_, fields) in enumerate(changed, start=1):
            redis.call("XADD", keys.AUDIT, f"{place}-1", *fields)
        if changed:
            last = changed[-1][1]
            redis.call("HSET", keys.AUDIT_HEAD, "number", last[1], "mac", last[5])

    return put
