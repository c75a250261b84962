"""A body that comes slowly, or never, keeps a connection for a bounded time, also where nobody reads it."""

import select
import socket
from collections.abc import Iterator

import pytest
from integration.gateway.raw_http import connection_to, exchange, read_reply
from integration.gateway.running_gateway import running_gateway
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.producer.gateway.app import AppLimits
from cloud_assistant.producer.gateway.routes import Route, Routes
from cloud_assistant.producer.gateway.serving import http_protocol, server
from cloud_assistant.producer.gateway.serving.http_messages import HttpReply
from harness.redis_server import RedisServer

#: Requests that are answered without a look at their body.
UNREAD = [
    *("GET /healthz", "POST /healthz", "GET /metrics", "GET /elsewhere", "PUT /register"),
    *(f"GET /files/{'0' * 64}", "POST /files/", "GET /packages/tools/1.0/linux/x86_64"),
]
#: Drips before a test gives up: ten seconds and more.
DRIPS_COUNT = 200


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    with (
        RedisServer(tmp_path_factory.mktemp("redis")) as redis,
        whole_gateway(redis.url(), tmp_path_factory.mktemp("home")) as gateway,
    ):
        yield gateway


def head_of(request: str, body_bytes: int) -> bytes:
    return f"{request} HTTP/1.1\r\nHost: g\r\nContent-Length: {body_bytes}\r\n\r\n".encode()


def dripped_until_it_ends(connection: socket.socket) -> bytes:
    """Send a byte now and then until something comes; answers what."""
    for _ in range(DRIPS_COUNT):
        connection.sendall(b"x")
        if select.select([connection], [], [], 0.05)[0]:
            return connection.recv(10)
    pytest.fail("the connection was kept")


@pytest.mark.parametrize("request_line", UNREAD)
def test_a_body_that_drips_in_unread_ends_with_its_connection(
    whole: WholeGateway, monkeypatch: pytest.MonkeyPatch, request_line: str
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_BODY_SECONDS", 0.3)
    with connection_to(whole.port) as connection:
        connection.sendall(head_of(request_line, 10_000))
        assert read_reply(connection).http_status in (200, 404, 405)
        assert dripped_until_it_ends(connection) == b""


@pytest.mark.parametrize("sent", [b"", b"x"])
def test_a_body_that_stops_unread_ends_with_its_connection(
    port: int, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_BODY_SECONDS", 0.3)
    with connection_to(port) as connection:
        connection.sendall(head_of("GET /healthz", 10))
        assert read_reply(connection).http_status == 200
        connection.sendall(sent)
        assert connection.recv(10) == b""


def test_a_connection_goes_on_after_an_unread_body_that_ended_in_time(port: int) -> None:
    with connection_to(port) as connection:
        for _ in range(3):
            connection.sendall(head_of("GET /healthz", 10) + b"12345")
            assert read_reply(connection).http_status == 200
            connection.sendall(b"67890")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
        assert read_reply(connection).http_status == 200


def test_a_connection_that_is_idle_after_an_unread_body_is_closed_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 1)
    with running_gateway() as running, connection_to(int(running.url.rpartition(":")[2])) as connection:
        connection.sendall(head_of("GET /healthz", 10) + b"12345")
        assert read_reply(connection).http_status == 200
        connection.sendall(b"67890")
        assert connection.recv(10) == b""


def test_a_page_that_waited_in_vain_for_its_body_ends_the_connection() -> None:
    routes = Routes({"/page": Route(("POST",), lambda _asked: HttpReply(200, "text/plain", b"", {}), body_bytes=100)})
    with (
        running_gateway(limits=AppLimits(body_seconds=0.3), routes=routes) as running,
        connection_to(int(running.url.rpartition(":")[2])) as connection,
    ):
        connection.sendall(head_of("POST /page", 10) + b"12345")
        reply = read_reply(connection)
        assert (reply.http_status, reply.headers["connection"]) == (408, "close")
        assert connection.recv(10) == b""
        assert exchange(int(running.url.rpartition(":")[2]), "GET /healthz HTTP/1.1\nHost: g").http_status == 200
