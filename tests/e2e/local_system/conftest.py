"""Fixtures of the local system's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import reaper
from harness.eventually import eventually

from .local_up import LocalUp


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalUp]:
    up = LocalUp(tmp_path)
    yield up
    up.stop()
    reaper.kill_users_of(tmp_path)
    eventually(lambda: not up.processes(), 5, "nothing runs on the home")
