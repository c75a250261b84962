"""Where a request came from: the peer, unless a proxy that the setting names speaks for it."""

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.producer.gateway.serving.client_address import ClientAddresses


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "expected"),
    [
        ("", "192.0.2.1", [], "192.0.2.1"),
        ("", "192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", ["10.0.0.1"], "10.0.0.1"),
        ("127.0.0.1", "127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["10.9.9.9, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.0/8, 203.0.113.0/24", "127.0.0.1", ["10.9.9.9", "198.51.100.1, 203.0.113.7"], "198.51.100.1"),
        ("127.0.0.1", "127.0.0.1", ["unknown"], ""),
        ("127.0.0.1", "127.0.0.1", ["10.0.0.1, not-an-address"], ""),
        ("", "", [], ""),
        ("", "", ["10.0.0.1"], ""),
        ("unix", "", ["10.0.0.1"], "10.0.0.1"),
        ("unix", "192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
        ("", "::ffff:192.0.2.1", [], "192.0.2.1"),
        ("2001:db8::/32", "2001:db8::1", ["[2001:db9::7]"], "2001:db9::7"),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(
    trusted: str, peer: str, forwarded_for: list[str], expected: str
) -> None:
    assert ClientAddresses(trusted).address_of(peer, forwarded_for) == expected


def test_a_proxy_that_is_no_address_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsInvalid, match=r"gateway\.trusted_proxies"):
        ClientAddresses("127.0.0.1, proxy.example")
