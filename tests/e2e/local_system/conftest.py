"""Fixtures of the local system's tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import reaper
from harness.eventually import eventually

from .local_up import LocalUp


@contextlib.contextmanager
def local_up(folder: Path) -> Iterator[LocalUp]:
    """`assist up` on a home of this folder, not started yet; nothing of it runs afterwards."""
    up = LocalUp(folder)
    yield up
    up.stop()
    reaper.kill_users_of(folder)
    eventually(lambda: not up.processes(), 5, "nothing runs on the home")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalUp]:
    with local_up(tmp_path) as up:
        yield up
