"""Who takes replies slowly, or not at all, keeps a connection for a bounded time and nobody else from being served."""

import contextlib
import hashlib
import http.client
import logging
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.gateway.running_gateway import running_gateway
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.producer.file_store.content_store import ContentStore
from cloud_assistant.producer.gateway.downloads.file_serving import DOWNLOADS_COUNT
from cloud_assistant.producer.gateway.routes import Route, Routes
from cloud_assistant.producer.gateway.serving import client_patience, http_protocol
from cloud_assistant.producer.gateway.serving.http_messages import HttpReply
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.tcp_proxy import TcpProxy

#: More than the kernel holds on its way, so that the rest waits in the gateway.
CONTENT = bytes(8 * 1024 * 1024)
PATH = f"/files/{hashlib.sha256(CONTENT).hexdigest()}"
MANY, ONE = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def whole(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    """A gateway with a file to download, which believes the proxy on loopback where a client is."""
    with whole_gateway(redis_server.url(), tmp_path / "home", trusted_proxies="127.0.0.1") as gateway:
        store = ContentStore.of(gateway.assistant.settings)
        store.put([CONTENT], sha256=hashlib.sha256(CONTENT).hexdigest())
        yield gateway


def begun(port: int, address: str, path: str = PATH, more: str = "") -> tuple[socket.socket, int]:
    """Ask for a file, and take no more of it than the status."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: g\r\nX-Forwarded-For: {address}\r\n{more}\r\n".encode())
    status = connection.recv(len("HTTP/1.1 200"))
    return connection, int(status[-3:])


@contextmanager
def stalled_downloads(whole: WholeGateway, address: str) -> Iterator[None]:
    """Have downloads that nobody takes, as many as there are places."""
    with contextlib.ExitStack() as opened:
        for _ in range(DOWNLOADS_COUNT):
            connection, status = begun(whole.port, address)
            opened.enter_context(connection)
            assert status == 200
        yield


def is_whole(status_and_body: tuple[int, bytes]) -> bool:
    """Tell whether a download brought all there is; without showing eight million zeros."""
    return status_and_body == (200, CONTENT)


def test_slow_downloads_do_not_keep_the_api_waiting(whole: WholeGateway) -> None:
    with stalled_downloads(whole, MANY):
        assert whole.call("DescribeRegions")[0] == 200
        assert whole.get("/healthz")[0] == 200
        assert whole.get("/packages/tools/1.0/linux/x86_64")[0] == 404


def test_one_address_with_all_places_does_not_keep_out_another(whole: WholeGateway) -> None:
    with stalled_downloads(whole, MANY):
        assert whole.get(PATH, {"X-Forwarded-For": MANY})[0] == 503
        assert is_whole(whole.get(PATH, {"X-Forwarded-For": ONE}))
        assert is_whole(whole.get(PATH, {"X-Forwarded-For": ONE}))


def test_a_download_that_nobody_takes_is_given_up(whole: WholeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_patience, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(client_patience, "LEAST_BYTES_PER_SECOND", 10**9)
    with stalled_downloads(whole, MANY):
        eventually(lambda: not whole.server.server_state.connections, within_seconds=20)
        assert is_whole(whole.get(PATH, {"X-Forwarded-For": MANY}))


@pytest.mark.slow
def test_a_download_over_a_slow_line_comes_to_its_end(whole: WholeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_patience, "STALLED_SECONDS", 5.0)
    monkeypatch.setattr(client_patience, "LEAST_BYTES_PER_SECOND", 200_000)
    with TcpProxy(whole.port) as line:
        line.set_bandwidth(1_000_000)
        connection = http.client.HTTPConnection("127.0.0.1", line.port, timeout=30)
        connection.request("GET", PATH)
        response = connection.getresponse()
        assert is_whole((response.status, response.read()))
        connection.close()


def test_a_download_below_the_least_rate_is_given_up(whole: WholeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_patience, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(client_patience, "LEAST_BYTES_PER_SECOND", 10**9)
    connection, status = begun(whole.port, MANY)
    assert status == 200
    received_bytes = 0
    with connection, contextlib.suppress(ConnectionResetError):
        while data := connection.recv(2048):
            received_bytes += len(data)
            # It is steady, and slow: 200 kB/s at most.
            threading.Event().wait(0.01)
    assert received_bytes < len(CONTENT) / 4


def test_a_download_that_its_client_breaks_off_gives_its_place_back(whole: WholeGateway) -> None:
    with stalled_downloads(whole, MANY):
        pass
    eventually(lambda: not whole.server.server_state.tasks, within_seconds=20)
    assert is_whole(whole.get(PATH, {"X-Forwarded-For": MANY}))


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
def test_a_page_that_nobody_takes_ends_with_its_connection(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    monkeypatch.setattr(client_patience, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(client_patience, "LEAST_BYTES_PER_SECOND", 10**9)
    routes = Routes({"/page": Route(("GET",), lambda _asked: HttpReply(200, "text/plain", CONTENT, {}))})
    with running_gateway(routes=routes) as server:
        connection, status = begun(int(server.url.rpartition(":")[2]), ONE, "/page", more)
        with connection:
            assert status == 200
            eventually(lambda: not server.server_state.connections, within_seconds=20)


def test_a_small_rest_that_nobody_takes_ends_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_patience, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(client_patience, "LEAST_BYTES_PER_SECOND", 10**9)
    routes = Routes({"/page": Route(("GET",), lambda _asked: HttpReply(200, "text/plain", bytes(50_000), {}))})
    with running_gateway(routes=routes) as server:
        connection, _ = begun(int(server.url.rpartition(":")[2]), ONE, "/page")
        [protocol] = server.server_state.connections
        asked_count = 1

        def is_ended() -> bool:
            nonlocal asked_count
            is_answered = server.server_state.total_requests == asked_count
            # One page after the other, until the kernel takes no more: less than one waits here then.
            if is_answered and not protocol.transport.get_write_buffer_size():
                asked_count += 1
                with contextlib.suppress(OSError):
                    connection.sendall(b"GET /page HTTP/1.1\r\nHost: g\r\n\r\n")
            return not server.server_state.connections

        with connection:
            eventually(is_ended, within_seconds=20, every_seconds=0.005)


@pytest.mark.parametrize("kind", ["download", "page", "page in pieces"])
def test_who_sends_no_more_gets_all_of_an_answer_that_takes_its_time(
    whole: WholeGateway, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(http_protocol, "HALF_CLOSED_SECONDS", 0.2)
    pieces = [CONTENT[start : start + 2**20] for start in range(0, len(CONTENT), 2**20)]
    answers = {
        "page": lambda _asked: HttpReply(200, "text/plain", CONTENT, {}),
        "page in pieces": lambda _asked: HttpReply(200, "text/plain", b"", {}, deque(pieces)),
    }
    routes = Routes({"/page": Route(("GET",), answers.get(kind, answers["page"]))})
    with running_gateway(routes=routes) as server:
        port, path = (whole.port, PATH) if kind == "download" else (int(server.url.rpartition(":")[2]), "/page")
        connection, _ = begun(port, ONE, path)
        with connection:
            connection.shutdown(socket.SHUT_WR)
            received = bytearray()
            while data := connection.recv(64 * 1024):
                received += data
                threading.Event().wait(0.005)
    assert bytes(received).partition(b"\r\n\r\n")[2] == CONTENT


def test_a_gateway_that_stops_ends_in_good_order_what_takes_too_long(
    whole: WholeGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("cloud_assistant.producer.gateway.serving.server.STOP_SECONDS", 0.5)
    connection, status = begun(whole.port, ONE)
    with connection:
        assert status == 200
        whole.server.should_exit = True
        eventually(lambda: "gateway stopped" in caplog.text, within_seconds=20)
    assert "gateway ends what has not ended in 0.5 s: connections=1" in caplog.messages
    assert "a download broke off" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
