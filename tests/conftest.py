"""Fixtures for every test, and the logs of what a failing test had started."""

import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

from cloud_assistant.broker_config.functions.function_library import load_library
from cloud_assistant.broker_config.redis.client import Redis
from harness import logs
from harness.redis_server import RedisServer
from harness.system import System

# Two shared cores are slow at times: a slow example is not a failed property.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real server of this test alone, with append-only persistence and no password.

    It has on its disk what it has confirmed. With ``everysec``, while one fsync takes long, Redis answers before it has
    written: tests that kill it would find confirmed work gone, and that is Redis' promise, not ours.
    """
    with RedisServer(tmp_path / "redis", config={"appendfsync": "always"}) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of the test's own server, which has our functions."""
    made = Redis(redis_server.url())
    load_library(made)
    yield made
    made.close()


@pytest.fixture
def system(redis_server: RedisServer, tmp_path: Path) -> Iterator[System]:
    """The product's programs on ``redis_server``; none runs until the test starts it, none is left afterwards."""
    programs = System.on(redis_server, tmp_path / "system")
    yield programs
    programs.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process waits for it at the end."""
    items.sort(key=lambda item: "faults" not in item.path.parts)


def pytest_configure() -> None:
    # A shell that starts us in the background has SIGINT ignored, `nohup` SIGHUP, and so would every program of ours
    # that is to be ended by them; a handler of our own is not inherited.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _go_on)


def _go_on(number: int, frame: FrameType | None) -> None:
    """Take no notice, as whoever started us wants it."""


def pytest_runtest_setup() -> None:
    logs.forget_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(logs.tails())
    return report
