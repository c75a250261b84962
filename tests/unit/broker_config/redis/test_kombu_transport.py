"""Kombu's connection is as well protected as our own."""

import ssl

import pytest
from kombu.connection import Connection
from kombu.utils.url import url_to_parts

from cloud_assistant.broker_config.redis.kombu_transport import broker_options, broker_url
from cloud_assistant.broker_config.redis.url import parse_url


def test_kombu_checks_the_same_certificates_as_we_do() -> None:
    options = broker_options(parse_url("rediss://r.example/0?ca=/ca&cert=/c&key=/k"))
    assert options["broker_use_ssl"] == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": "/ca",
        "ssl_certfile": "/c",
        "ssl_keyfile": "/k",
    }


def test_sentinels_are_asked_over_tls_too() -> None:
    options = broker_options(parse_url("sentinel://s.example/m/0?tls=yes&ca=/ca&sentinel_password=p"))
    told = options["broker_transport_options"]["sentinel_kwargs"]
    assert (told["ssl"], told["ssl_ca_certs"], told["password"]) == (True, "/ca", "p")


@pytest.mark.parametrize(
    "place", ["redis://{}[::1]:7000/3", "redis://{}r.example:7000/3", "sentinel://{}[::1]:7000,b/m/3"]
)
def test_kombu_reads_the_server_and_whoever_we_are_there(place: str) -> None:
    address = parse_url(place.format("us%40er:p%40s%2F%3Bw%25@"))
    connection = Connection(broker_url(address))  # type: ignore[no-untyped-call]
    assert (connection.hostname, connection.port) == address.hosts[0]
    assert (connection.userid, connection.password, connection.virtual_host) == ("us@er", "p@s/;w%", "3")


def test_kombu_reads_a_path_and_whoever_we_are_there() -> None:
    address = parse_url("unix://us%40er:p%40s%2F%3Bw%25@/run/a b/redis.sock?db=3")
    told = url_to_parts(broker_url(address).removeprefix("redis+"))
    assert (told.username, told.password, told.path) == ("us@er", "p@s/;w%", "run/a b/redis.sock")


@pytest.mark.parametrize("url", ["redis://r.example/0", "unix:///r.sock", "sentinel://s.example/m/0"])
def test_without_tls_nothing_of_it_is_set(url: str) -> None:
    options = broker_options(parse_url(url))
    assert "broker_use_ssl" not in options
    assert "ssl" not in options["broker_transport_options"].get("sentinel_kwargs", {})
