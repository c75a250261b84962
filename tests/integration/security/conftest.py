"""A server that keeps users in a file, as a real one should, and the control side with its master key."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.settings import load
from cloud_assistant.producer import Assistant
from harness.acl_server import redis_server as redis_server
from harness.redis_server import RedisServer


@pytest.fixture
def assistant(redis_server: RedisServer, tmp_path: Path) -> Iterator[Assistant]:
    """The control side, with a home of its own and no master key yet."""
    home = tmp_path / "operator"
    home.mkdir(mode=0o700)
    settings = replace(load({"home": str(home)}).settings, redis_url=redis_server.url())
    with Assistant(settings=settings) as made:
        yield made


@pytest.fixture
def redis(assistant: Assistant) -> Redis:
    """The administrator's connection."""
    return assistant.redis


@pytest.fixture
def connect() -> Iterator[Callable[[str], Redis]]:
    """Connections by URL, closed in the end."""
    made: list[Redis] = []

    def connection(redis_url: str) -> Redis:
        made.append(Redis(redis_url, name="agent"))
        return made[-1]

    yield connection
    for one in made:
        one.close()
