import contextlib
import gc
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness import proc
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(redis_server.port) as running:
        yield running


def client_of(proxy: TcpProxy, timeout_seconds: float = 5) -> "redis.Redis":
    return redis.Redis(host="127.0.0.1", port=proxy.port, socket_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0))


def connected(proxy: TcpProxy, timeout_seconds: float = 5) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout_seconds)


def ask(link: socket.socket, line: bytes = b"PING\r\n") -> bytes:
    link.sendall(line)
    return link.recv(100)


def test_bytes_pass_both_ways_and_connections_are_counted(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        client.set("key", b"x" * 3_000_000)
        assert client.get("key") == b"x" * 3_000_000
    with connected(proxy) as link:
        assert ask(link) == b"+PONG\r\n"
    assert proxy.connection_count == 2
    eventually(lambda: proxy.open_connection_count == 0, what="both ends closed")


def test_a_cut_resets_what_is_open_and_refuses_new_connections_until_healed(proxy: TcpProxy) -> None:
    with connected(proxy) as link:
        assert ask(link)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.heal()
    with connected(proxy) as link:
        assert ask(link) == b"+PONG\r\n"


def test_dropped_connections_may_come_back_at_once(proxy: TcpProxy) -> None:
    with connected(proxy) as link:
        assert ask(link)
        proxy.drop_connections()
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    with connected(proxy) as link:
        assert ask(link) == b"+PONG\r\n"


def test_a_half_open_connection_is_silent_and_goes_on_after_healing(proxy: TcpProxy) -> None:
    with connected(proxy, timeout_seconds=0.3) as link:
        assert ask(link)
        proxy.half_open()
        with pytest.raises(TimeoutError):
            ask(link)
        proxy.heal()
        link.settimeout(5)
        assert link.recv(100) == b"+PONG\r\n"


def test_a_half_open_line_hides_the_end_of_the_server(proxy: TcpProxy, redis_server: RedisServer) -> None:
    with connected(proxy, timeout_seconds=0.3) as link:
        assert ask(link)
        proxy.half_open()
        redis_server.kill()
        with pytest.raises(TimeoutError):
            link.recv(1)
        proxy.heal()
        link.settimeout(5)
        assert link.recv(1) == b""


def test_a_half_open_line_hides_the_end_of_the_client(proxy: TcpProxy, redis_server: RedisServer) -> None:
    def client_count() -> int:
        return int(redis_server.cli("INFO", "clients")["connected_clients"]) - 1

    with connected(proxy) as link:
        assert ask(link)
        proxy.half_open()
    assert client_count() == 1
    proxy.heal()
    eventually(lambda: client_count() == 0, what="the server hears of the end")


def test_new_connections_are_silent_too_unless_they_are_to_be_served(proxy: TcpProxy) -> None:
    with connected(proxy, timeout_seconds=0.3) as old:
        assert ask(old)
        proxy.half_open()
        with connected(proxy, timeout_seconds=0.3) as new, pytest.raises(TimeoutError):
            ask(new)
        proxy.half_open(serve_new_connections=True)
        with connected(proxy) as new:
            assert ask(new) == b"+PONG\r\n"
        with pytest.raises(TimeoutError):
            ask(old)


def test_delay_adds_to_every_answer_without_limiting_the_throughput(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        client.ping()
        proxy.set_delay_ms(100)
        start = time.monotonic()
        client.ping()
        assert time.monotonic() - start >= 0.2
        start = time.monotonic()
        client.set("key", b"x" * 3_000_000)
        # One delay for each chunk in turn would take five seconds and more.
        assert time.monotonic() - start < 4
        proxy.set_delay_ms(0)


def test_bandwidth_limits_the_throughput(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        client.ping()
        proxy.set_bandwidth(200_000)
        start = time.monotonic()
        client.set("key", b"x" * 100_000)
        assert time.monotonic() - start >= 0.4
        proxy.set_bandwidth(None)


def test_a_server_that_does_not_listen_looks_like_that_through_the_proxy(
    proxy: TcpProxy, redis_server: RedisServer
) -> None:
    redis_server.stop()
    with pytest.raises(ConnectionResetError), connected(proxy) as link:
        link.recv(1)


def test_connections_that_come_while_the_line_is_cut_again_and_again_are_all_closed(proxy: TcpProxy) -> None:
    ending = threading.Event()

    def knock() -> None:
        while not ending.is_set():
            with contextlib.suppress(OSError), connected(proxy, 1) as link:
                ask(link)

    before = proc.fd_count(os.getpid())
    knocking = [threading.Thread(target=knock) for _ in range(4)]
    for thread in knocking:
        thread.start()
    for _ in range(60):
        proxy.cut()
        proxy.heal()
    ending.set()
    for thread in knocking:
        thread.join()
    eventually(lambda: proc.fd_count(os.getpid()) <= before, 5, "every socket is closed")
    # What only the collector closes is a warning, and so a failure of this test.
    gc.collect()
