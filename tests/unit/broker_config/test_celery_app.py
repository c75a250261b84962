"""The queue's connection is as well protected as our own."""

import ssl

import pytest

from cloud_assistant.broker_config.celery_app import create_app


def test_the_queue_checks_the_same_certificates_as_we_do() -> None:
    app = create_app("rediss://r.example/0?ca=/ca&cert=/c&key=/k")
    assert app.conf.broker_use_ssl == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": "/ca",
        "ssl_certfile": "/c",
        "ssl_keyfile": "/k",
    }


def test_sentinels_are_asked_over_tls_too() -> None:
    app = create_app("sentinel://s.example/m/0?tls=yes&ca=/ca&sentinel_password=p")
    told = app.conf.broker_transport_options["sentinel_kwargs"]
    assert (told["ssl"], told["ssl_ca_certs"], told["password"]) == (True, "/ca", "p")


@pytest.mark.parametrize("url", ["redis://r.example/0", "unix:///r.sock", "sentinel://s.example/m/0"])
def test_without_tls_nothing_of_it_is_set(url: str) -> None:
    app = create_app(url)
    assert not app.conf.broker_use_ssl
    assert "ssl" not in app.conf.broker_transport_options.get("sentinel_kwargs", {})
