"""Agents with short intervals, and an operator to command them."""

from collections.abc import Iterator

import pytest
from integration.agent.operator_side import Operator

from harness.redis_server import RedisServer
from harness.system import System

#: Tenths of seconds instead of tens of seconds between looks at the ledger.
QUICK = {
    "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.5",
    "CLOUD_ASSISTANT_AGENT_RECONCILE_SECONDS": "0.5",
    "CLOUD_ASSISTANT_AGENT_GRACE_SECONDS": "0.5",
}


@pytest.fixture
def quick_system(system: System) -> System:
    """The programs of a test, agents looking twice a second."""
    system.environment.update(QUICK)
    return system


@pytest.fixture
def operator(redis_server: RedisServer) -> Iterator[Operator]:
    """The control side on the test's own server."""
    control = Operator(redis_server.url())
    yield control
    control.close()
