"""Fixtures of the gateway's integration tests."""

from collections.abc import Iterator

import pytest
from integration.gateway.running_gateway import arrived, running_gateway

from cloud_assistant.producer.gateway.serving.server import GatewayServer
from harness.no_proxy import no_proxy as no_proxy


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    """One server for the tests of a module; its port was free."""
    with running_gateway() as server:
        yield server


@pytest.fixture
def port(gateway: GatewayServer) -> int:
    """The port on loopback."""
    return int(gateway.url.rpartition(":")[2])


@pytest.fixture(autouse=True)
def _nothing_arrived() -> None:
    arrived.clear()
