"""Take away proxies that SDKs would ask for loopback; a conftest that imports the fixture has it for all its tests."""

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both SDKs obey a proxy even for loopback, and ignore the list of exceptions."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
