"""The product with its locks closed: a server that keeps users in a file, and an operator with the master key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.acl_server import redis_server as redis_server
from harness.redis_server import RedisServer
from harness.system import Agent, System


class SecureSystem(System):
    """Agents run with credentials that the operator made for them."""

    def add_instance(self, instance_id: str) -> Path:
        """Register an instance, as ``assist instance add`` does; answers the file of its credentials."""
        return self.register_with_credentials(instance_id, self.folder / f"{instance_id}.toml")

    def start_instance(self, instance_id: str = "i-one", **environment: str) -> Agent:
        """Register an instance and start its agent."""
        return self.start_agent(instance_id, credentials=self.add_instance(instance_id), environment=environment)


@pytest.fixture
def secure(redis_server: RedisServer, tmp_path: Path) -> Iterator[SecureSystem]:
    """The product on that server; nothing runs until the test starts it."""
    programs = SecureSystem(tmp_path / "system", redis_server.url())
    yield programs
    programs.stop()
