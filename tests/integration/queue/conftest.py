"""A line to a real server, and what a producer puts on the other end."""

from collections.abc import Callable, Iterator

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.worker.queue.line import QueueLine
from harness.redis_server import RedisServer

QUEUE = "ca:i:{i-one}:queue"

MakeLine = Callable[..., QueueLine]


@pytest.fixture
def make_line() -> Iterator[MakeLine]:
    """Make lines to an address; they are closed with the test."""
    made: list[QueueLine] = []

    def make(url: str, **options: Callable[[], float]) -> QueueLine:
        made.append(QueueLine(parse_url(url), name="test", **options))
        return made[-1]

    yield make
    for line in made:
        line.close()


@pytest.fixture
def line(make_line: MakeLine, redis_server: RedisServer) -> QueueLine:
    """A line to the test's own server; it is not open yet."""
    return make_line(redis_server.url())


@pytest.fixture
def producer(redis_server: RedisServer) -> Iterator[Redis]:
    """The other side."""
    redis = Redis(redis_server.url(), name="producer")
    yield redis
    redis.close()


def waiting_clients(producer: Redis) -> list[str]:
    """Ids of the connections that wait in BRPOP."""
    lines = producer.call("CLIENT", "LIST").decode().splitlines()
    clients = [dict(part.partition("=")[::2] for part in one.split()) for one in lines]
    return [one["id"] for one in clients if one["cmd"] == "brpop" and "b" in one["flags"]]
