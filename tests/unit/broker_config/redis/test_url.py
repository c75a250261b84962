"""Addresses of Redis."""

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.broker_config.redis.url import format_url, parse_url


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://agent:s%40cret%2F@redis.example:7000/3",
        "rediss://u:p@redis.example:6380/0?ca=%2Fetc%2Fca.pem&verify=no",
        "redis://u:p@[fd00::1]:7000/3",
        "redis://[::1]/0",
        "unix://u:p@/run/redis/redis.sock?db=2",
        "sentinel://u:p@10.0.0.1:26379,10.0.0.2:26380/mymaster/1?sentinel_password=x&tls=yes",
    ],
)
def test_an_address_is_written_as_it_was_read(url: str) -> None:
    assert parse_url(format_url(parse_url(url))) == parse_url(url)


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    address = parse_url("redis://u:p@[::1]:7000/3")
    assert address.hosts == (("::1", 7000),)
    assert format_url(address) == "redis://u:p@[::1]:7000/3"
    assert address.shown() == "redis://u@[::1]:7000/3"


def test_ports_and_database_have_defaults() -> None:
    assert parse_url("redis://db").hosts == (("db", 6379),)
    assert parse_url("sentinel://s1,s2:26380/m").hosts == (("s1", 26379), ("s2", 26380))
    assert parse_url("redis://rédis.example.:1").hosts == (("rédis.example.", 1),)
    assert parse_url("redis://[::ffff:127.0.0.1]:1").hosts == (("::ffff:127.0.0.1", 1),)


def test_what_is_shown_has_no_password() -> None:
    for url in ("redis://u:secret@h:1/0", "unix://u:secret@/x?db=0", "sentinel://u:secret@h:1/m/0"):
        assert "secret" not in parse_url(url).shown()
        assert "u@" in parse_url(url).shown()


def test_the_address_can_be_given_to_another_user() -> None:
    other = parse_url(parse_url("rediss://a:b@h:1/0?ca=x").with_user("i-1", "p:w"))
    assert (other.user, other.password, other.tls, other.ca) == ("i-1", "p:w", True, "x")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://x", "scheme 'http'"),
        ("redis://h/x", "must be a number"),
        ("redis://", "no server name"),
        ("redis://h?tiemout=3", "unknown option 'tiemout'"),
        ("sentinel://h", "master's name"),
        ("redis://h/1/2", "must be a number, not '1/2'"),
        ("sentinel://h/m/1/2", "must be a number, not '1/2'"),
        ("redis://h:99999/0", "a port is 1 to 65535, not 99999"),
        ("redis://[::1/0", "Invalid IPv6 URL"),
        ("redis://redis..example/0", "'redis..example' cannot be the name of a server"),
        (f"sentinel://h,{'x' * 64}.example/m", "cannot be the name of a server"),
        ("rediss://\udcff/0", "cannot be the name of a server"),
        (f"redis://{'é' * 64}/0", "cannot be the name of a server"),
        ("sentinel://h/m/0?tls=true", "tls is yes or no, not 'true'"),
        ("rediss://h/0?verify=0", "verify is yes or no, not '0'"),
    ],
)
def test_a_bad_address_says_what_is_wrong_and_what_is_right(url: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        parse_url(url)


@pytest.mark.parametrize("url", ["redis://u:secret@/0", "sentinel://u:secret@h", "redis://u:secret@h:99999/0"])
def test_what_is_said_of_a_bad_address_has_no_password(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:geh/eim@host:6379/0",
        "redis://:geh/eim@host/0",
        "redis://u:geh#eim@host/0",
        "redis://u:geh?eim@host/0",
        "redis://u:geh@eim/eim@host/0",
        "redis://u:geh?a=eim@host/0",
        "redis:///u:geheim@host",
        "sentinel://u:geh/eim@one:1/master",
        "unix://u:geh/eim@/run/redis.sock",
        "unix://u:geh#eim@/run/redis.sock",
    ],
)
def test_a_password_that_ends_the_servers_name_is_not_shown_and_the_remedy_is(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="percent-encoded: %2F for /") as refused:
        parse_url(url)
    assert not any(part in str(refused.value) for part in ("geh", "eim"))


def test_an_at_sign_in_the_name_of_a_file_is_one() -> None:
    assert parse_url("unix:///run/app@1/redis.sock").path == "/run/app@1/redis.sock"
    assert parse_url("rediss://host/0?ca=/etc/app@1/ca.crt").ca == "/etc/app@1/ca.crt"


def test_a_socket_whose_path_does_not_begin_at_the_root_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="unix:///run"):
        parse_url("unix://run/redis.sock")
