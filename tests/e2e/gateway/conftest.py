"""One system for the tests of a module: a server, two agents, a gateway, an access key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.gateway.real_gateway import RealGateway, real_gateway

from harness.no_proxy import no_proxy as no_proxy


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """Agents ``i-one`` and ``i-two`` behind a gateway."""
    with real_gateway(Path(tmp_path_factory.mktemp("real"))) as running:
        yield running
