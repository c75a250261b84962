"""The fixture of tests about users: a server that keeps them in a file, as a real one should."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with an ACL file; a conftest that imports this has it in place of the ordinary one."""
    with RedisServer(tmp_path / "redis", keeps_users=True) as server:
        yield server
