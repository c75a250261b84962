"""What is no address of a gateway is told before anything is connected."""

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.broker_config.redis.tls import TlsClient
from cloud_assistant.producer.gateway_client import connection_to
from cloud_assistant.worker.upgrade.download import DownloadFailed, fetch_signature

WRONG = ["gateway:8177", "ftp://gateway", "https://", "https://a..b", "http://[::1", "http://x:99999", "http://x:port"]


@pytest.mark.parametrize("url", WRONG)
def test_to_an_operator(url: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"gateway\.url"):
        connection_to(url, TlsClient())


@pytest.mark.parametrize("url", WRONG)
def test_to_an_agent(url: str) -> None:
    with pytest.raises(DownloadFailed, match=r"is not the address of a gateway; set gateway\.url"):
        fetch_signature(url, "tools", "1", os="linux", arch="any")
