"""One system for the tests of a module: a server, two agents, a gateway, an access key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.gateway.real_gateway import RealGateway, real_gateway


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """Agents ``i-one`` and ``i-two`` behind a gateway."""
    with real_gateway(Path(tmp_path_factory.mktemp("real"))) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both SDKs obey a proxy even for loopback, and ignore the list of exceptions."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
