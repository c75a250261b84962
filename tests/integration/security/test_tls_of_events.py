"""Kombu's connection, by which events are read, checks and shows the same certificates as our own."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from cloud_assistant.broker_config.celery_app import create_app
from cloud_assistant.broker_config.redis.kombu_transport import broker_options
from cloud_assistant.broker_config.redis.url import parse_url
from harness.certificates import Authority
from harness.redis_server import RedisServer
from harness.tls_terminator import TlsTerminator


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def ports(redis_server: RedisServer, authority: Authority) -> Iterator[dict[str, int]]:
    """Doors with a good certificate, with one for another name, and with an expired one; all want ours."""
    certificates = {
        "good": authority.issue("good", "127.0.0.1"),
        "wrong name": authority.issue("name", "redis.example"),
        "expired": authority.issue("expired", "127.0.0.1", days=-1),
    }
    with ExitStack() as stack:
        doors = {
            name: stack.enter_context(TlsTerminator(redis_server.port, one, client_ca=authority.ca))
            for name, one in certificates.items()
        }
        yield {name: door.port for name, door in doors.items()}


def connect(port: int, ca: Path, own: str) -> None:
    app = create_app("test", **broker_options(parse_url(f"rediss://127.0.0.1:{port}/0?ca={ca}{own}")))
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)


def own_certificate(authority: Authority) -> str:
    client = authority.issue("client", "client")
    return f"&cert={client.cert}&key={client.key}"


def test_a_good_certificate_is_accepted(ports: dict[str, int], authority: Authority) -> None:
    connect(ports["good"], authority.ca, own_certificate(authority))


@pytest.mark.parametrize("door", ["wrong name", "expired"])
def test_a_certificate_that_we_refuse_is_refused_here_too(
    ports: dict[str, int], authority: Authority, door: str
) -> None:
    with pytest.raises(OperationalError, match="certificate"):
        connect(ports[door], authority.ca, own_certificate(authority))


def test_another_ca_is_refused(ports: dict[str, int], authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="certificate"):
        connect(ports["good"], Authority(tmp_path / "other").ca, own_certificate(authority))


def test_without_our_certificate_nobody_serves_us(ports: dict[str, int], authority: Authority) -> None:
    with pytest.raises(OperationalError):
        connect(ports["good"], authority.ca, "")
