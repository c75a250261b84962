"""One server, agents that look at the ledger often, and the scene that watches them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.agents import QUICK
from faults.scene import Scene

from harness.redis_server import RedisServer
from harness.system import System


@pytest.fixture
def quick_system(system: System) -> System:
    """The programs of a test, agents looking twice a second."""
    system.environment.update(QUICK)
    return system


@pytest.fixture
def scene(redis_server: RedisServer, quick_system: System, tmp_path: Path) -> Iterator[Scene]:
    """What is asked for in a test, and the evidence of what came of it."""
    scene = Scene(tmp_path / "traces", redis_server.url(), quick_system.folder)
    yield scene
    # Below a failed test, whatever assertion failed first.
    print(scene.shown_violations())
    scene.close()
