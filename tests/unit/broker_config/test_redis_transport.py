"""Kombu's connection is as well protected as our own."""

import ssl

import pytest

from cloud_assistant.broker_config.redis_transport import broker_options
from cloud_assistant.broker_config.redis_url import parse_url


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


@pytest.mark.parametrize("url", ["redis://r.example/0", "unix:///r.sock", "sentinel://s.example/m/0"])
def test_without_tls_nothing_of_it_is_set(url: str) -> None:
    options = broker_options(parse_url(url))
    assert "broker_use_ssl" not in options
    assert "ssl" not in options["broker_transport_options"].get("sentinel_kwargs", {})
