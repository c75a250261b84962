"""Over TLS a connection has its place, and its time, from the moment it is accepted."""

import contextlib
import gc
import logging
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.raw_http import connection_to, read_reply
from integration.gateway.running_gateway import running_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config.settings_table import GatewaySettings
from cloud_assistant.producer.gateway.routes import Route, Routes
from cloud_assistant.producer.gateway.serving import server, tls_door
from cloud_assistant.producer.gateway.serving.http_messages import HttpReply
from cloud_assistant.producer.gateway.serving.server import GatewayServer
from harness.certificates import Authority
from harness.eventually import eventually

PLACES_COUNT = 3
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n"


@pytest.fixture(autouse=True)
def _tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    yield
    # What a task has raised and nobody has looked at is told when it is collected.
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("tls")) / "ca")


@pytest.fixture
def small(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    """A gateway with few places, over TLS."""
    monkeypatch.setattr(server, "places_count", lambda: PLACES_COUNT)
    issued = authority.issue("gateway", "127.0.0.1")
    settings = GatewaySettings(host="127.0.0.1", port=0, tls_certificate=str(issued.cert), tls_key=str(issued.key))
    with running_gateway(settings) as made:
        yield made


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca)


def port_of(made: GatewayServer) -> int:
    return int(made.url.rpartition(":")[2])


def secured(made: GatewayServer, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(connection_to(port_of(made)), server_hostname="127.0.0.1")


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except ConnectionResetError:
        return True


def test_silent_connections_make_way_for_whoever_asks(small: GatewayServer, context: ssl.SSLContext) -> None:
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(connection_to(port_of(small))) for _ in range(PLACES_COUNT)]
        for one in silent:
            client = opened.enter_context(secured(small, context))
            client.sendall(HEALTH)
            assert read_reply(client).http_status == 200
            assert is_ended(one)
        # Each connection has one place, before and after its handshake: those that have been idle the longest go.
        newcomer = opened.enter_context(secured(small, context))
        newcomer.sendall(HEALTH)
        assert read_reply(newcomer).http_status == 200
        client.sendall(HEALTH)
        assert read_reply(client).http_status == 200


def test_a_connection_that_has_ended_leaves_its_place(small: GatewayServer, context: ssl.SSLContext) -> None:
    with secured(small, context) as kept:
        kept.sendall(HEALTH)
        assert read_reply(kept).http_status == 200
        for _ in range(2 * PLACES_COUNT):
            connection_to(port_of(small)).close()
            with connection_to(port_of(small)) as stranger:
                stranger.sendall(HEALTH)
                assert stranger.recv(10) != b"HTTP/1.1 2"
        eventually(lambda: len(small.server_state.connections) == 1, what="only one is left")
        others = [secured(small, context) for _ in range(PLACES_COUNT - 1)]
        for one in others:
            one.sendall(HEALTH)
            assert read_reply(one).http_status == 200
            one.close()
        kept.sendall(HEALTH)
        assert read_reply(kept).http_status == 200


def test_a_handshake_that_is_not_gone_on_with_is_ended(small: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_door, "HANDSHAKE_SECONDS", 0.2)
    with connection_to(port_of(small)) as silent:
        assert is_ended(silent)


class ByHand:
    """A client whose last bytes of the handshake are not sent yet."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self.connection = connection
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                self.client.do_handshake()
                return
            except ssl.SSLWantReadError:
                connection.sendall(self.outgoing.read())
                self.incoming.write(connection.recv(65536))


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    small: GatewayServer, context: ssl.SSLContext
) -> None:
    with connection_to(port_of(small)) as connection:
        by_hand = ByHand(connection, context)
        by_hand.client.write(HEALTH)
        connection.sendall(by_hand.outgoing.read())
        received = b""
        while b"healthy" not in received:
            by_hand.incoming.write(connection.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                while True:
                    received += by_hand.client.read(65536)
    assert received.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_with_the_end_of_the_handshake_leaves_its_place(
    small: GatewayServer, context: ssl.SSLContext
) -> None:
    with secured(small, context) as kept:
        kept.sendall(HEALTH)
        assert read_reply(kept).http_status == 200
        for _ in range(2 * PLACES_COUNT):
            with connection_to(port_of(small)) as connection:
                by_hand = ByHand(connection, context)
                with contextlib.suppress(ssl.SSLWantReadError):
                    by_hand.client.unwrap()
                connection.sendall(by_hand.outgoing.read())
                assert is_ended_after_tickets(connection)
        eventually(lambda: len(small.server_state.connections) == 1, what="only one is left")
        kept.sendall(HEALTH)
        assert read_reply(kept).http_status == 200


def is_ended_after_tickets(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


def test_a_gateway_that_stops_waits_for_no_handshake(small: GatewayServer) -> None:
    with connection_to(port_of(small)) as silent:
        eventually(lambda: bool(small.server_state.connections), what="it is accepted")
        small.should_exit = True
        assert is_ended(silent)


def asks_and_waits(client: ssl.SSLSocket, made: GatewayServer) -> None:
    """Send a request that is answered when the gateway stops, and see it there."""
    asked = v1_query("DescribeInvocationResults", {"InvokeId": "t-1", "WaitSeconds": "30"}, method="GET")
    client.sendall(f"GET /?{asked} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
    eventually(lambda: bool(made.server_state.tasks), what="it waits")


def test_a_gateway_that_stops_waits_for_no_farewell(small: GatewayServer, context: ssl.SSLContext) -> None:
    """A client that keeps its connections says it with its next request, or never."""
    with secured(small, context) as waiting, secured(small, context) as idle:
        asks_and_waits(waiting, small)
        idle.sendall(HEALTH)
        assert read_reply(idle).http_status == 200
        small.should_exit = True
        eventually(lambda: not small.server_state.connections, what="both are ended")
        assert read_reply(waiting).http_status == 200
        # Each is told that no more comes; without that it would be an error of TLS.
        assert idle.recv(10) == b""
        assert waiting.recv(10) == b""


def test_who_takes_an_answer_slowly_gets_all_of_it_although_the_gateway_stops(
    authority: Authority, context: ssl.SSLContext
) -> None:
    # One half is more than the transport below takes, and so the other waits above it.
    half = bytes(8 * 1024 * 1024)
    routes = Routes({"/page": Route(("GET",), lambda _asked: HttpReply(200, "text/plain", half, {}, deque([half])))})
    issued = authority.issue("gateway", "127.0.0.1")
    settings = GatewaySettings(host="127.0.0.1", port=0, tls_certificate=str(issued.cert), tls_key=str(issued.key))
    with running_gateway(settings, routes=routes) as made, secured(made, context) as client:
        client.sendall(b"GET /page HTTP/1.1\r\nHost: g\r\n\r\n")
        received = bytearray(client.recv(1000))
        made.should_exit = True
        eventually(lambda: not made.servers[0].is_serving(), what="it stops")
        while data := client.recv(64 * 1024):
            received += data
    assert bytes(received).partition(b"\r\n\r\n")[2] == 2 * half


def test_who_ends_its_side_while_it_waits_is_gone_without_a_word_in_the_log(
    small: GatewayServer, context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), secured(small, context) as waiting:
        asks_and_waits(waiting, small)
        with contextlib.suppress(OSError):
            waiting.unwrap()
        eventually(lambda: not small.server_state.tasks, what="nothing is done for it any more")
        assert not caplog.messages
