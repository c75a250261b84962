"""Repeated work: each turn is one beat's, and what goes wrong with one piece ends no other and is told once."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from cloud_assistant.beat.maintenance import Maintenance, Work
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.programs.program_log import LOGGER_NAME
from cloud_assistant.broker_config.redis.client import Redis
from harness.eventually import eventually
from harness.redis_server import RedisServer

#: Turns of work, after which what is told each time would have been told often.
MANY = 5


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with closing(Redis(redis_server.url())) as redis:
        yield redis


class Done(Counter[str]):
    """How often each piece of work was done."""

    def work(self, name: str, every_seconds: float = 0.02, error: Callable[[], Exception] | None = None) -> Work:
        def do() -> None:
            self[name] += 1
            if error:
                raise error()

        return Work(name, every_seconds, do)


@contextmanager
def at_work(redis: Redis, *works: Work, token: str = "beat") -> Iterator[None]:
    maintenance = Maintenance(redis, token, works)
    maintenance.start()
    try:
        yield
    finally:
        maintenance.close(10)


def test_a_turn_is_that_of_one_beat_and_over_before_the_next(redis: Redis, redis_server: RedisServer) -> None:
    done = Done()
    with closing(Redis(redis_server.url())) as other, at_work(redis, done.work("sweep", 20), done.work("seen")):
        eventually(lambda: done["seen"])
        with at_work(other, done.work("sweep", 20), done.work("seen by another"), token="other"):
            eventually(lambda: done["seen by another"])
    assert done["sweep"] == 1
    # A beat alone would miss its next turn if this one were still taken.
    assert 10_000 < redis.call("PTTL", keys.beat_turn("sweep")) <= 18_000


def test_one_that_lacks_the_master_key_takes_no_turn_from_one_that_has_it(
    redis: Redis, redis_server: RedisServer
) -> None:
    done = Done()
    keyless = replace(done.work("settle", 20), keyless=True)
    with closing(Redis(redis_server.url())) as other, at_work(redis, keyless):
        eventually(lambda: done["settle"])
        with at_work(other, done.work("settle", 20), token="other"):
            eventually(lambda: done["settle"] == 2)


def test_a_defect_in_one_piece_ends_no_other(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    done = Done()
    with at_work(redis, done.work("broken", error=lambda: ValueError("a defect")), done.work("sound")):
        eventually(lambda: min(done["broken"], done["sound"]) > 1)
    assert "could not broken" in caplog.text
    assert "a defect" in caplog.text


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_what_is_refused_each_time_is_told_once_though_the_rest_goes_well(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    done = Done()
    refused = done.work("audit", error=lambda: RedisRefused("NOPERM this user may not"))
    with caplog.at_level(logging.WARNING, logger=LOGGER_NAME), at_work(redis, refused, done.work("sound")):
        eventually(lambda: min(done["audit"], done["sound"]) > MANY)
    [line] = told(caplog)
    assert line.startswith("could not audit: NOPERM")


def test_what_ends_all_of_them_is_told_once(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    done, is_gone = Done(), threading.Event()
    is_gone.set()

    def error() -> Exception:
        return RedisUnreachable("Redis is gone")

    def do() -> None:
        done["retire"] += 1
        if is_gone.is_set():
            raise error()

    works = [done.work("sweep", error=error), done.work("settle", error=error), Work("retire", 0.02, do)]
    with caplog.at_level(logging.WARNING, logger=LOGGER_NAME), at_work(redis, *works):
        eventually(lambda: len(done) == len(works) and min(done.values()) > MANY)
        assert len(told(caplog)) == 1
        is_gone.clear()
        eventually(lambda: done["retire"] > 3 * MANY)
        assert len(told(caplog)) == 1, "one that goes well again says nothing of the others"
