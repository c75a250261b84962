"""Strangers who begin many requests, or open many connections, take room from one another, and from nobody else."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.raw_http import RawReply, connection_to, exchange, read_reply
from integration.gateway.running_gateway import running_gateway
from integration.gateway.whole_gateway import whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.producer.gateway.app import AppLimits
from cloud_assistant.producer.gateway.serving import server
from cloud_assistant.producer.gateway.serving.server import GatewayServer
from harness.eventually import eventually
from harness.redis_server import RedisServer

HELD_BYTES = 300_000
PART_BYTES = 120_000
PLACES_COUNT = 4
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    """A gateway with little room and few places."""
    monkeypatch.setattr(server, "places_count", lambda: PLACES_COUNT)
    with running_gateway(limits=AppLimits(held_bytes=HELD_BYTES)) as made:
        yield made


@pytest.fixture
def small_port(small: GatewayServer) -> int:
    return int(small.url.rpartition(":")[2])


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except ConnectionResetError:
        return True


def assert_given_up(reply: RawReply) -> None:
    assert (reply.http_status, reply.fields["Code"]) == (503, "ServiceUnavailable")
    assert reply.headers["x-acs-retry-after"] == "1"


@pytest.mark.parametrize("before", [b"", HEALTH])
def test_the_oldest_of_too_many_unfinished_heads_is_given_up(small_port: int, before: bytes) -> None:
    """Also where it came together with the request before it."""
    with contextlib.ExitStack() as opened:
        strangers = [opened.enter_context(connection_to(small_port)) for _ in range(3)]
        for one in strangers:
            one.sendall(before + b"GET /healthz?a=" + b"x" * PART_BYTES)
            if before:
                assert read_reply(one).http_status == 200
            # What was sent has been read when something that was sent later is answered.
            assert exchange(small_port, "GET /healthz HTTP/1.1\nHost: g\nConnection: close").http_status == 200
        reply = read_reply(strangers[0])
        assert_given_up(reply)
        assert (reply.headers["connection"], reply.headers["retry-after"]) == ("close", "1")
        for one in strangers[1:]:
            one.sendall(b" HTTP/1.1\r\nHost: g\r\n\r\n")
            assert read_reply(one).http_status == 200


def test_what_has_left_holds_nothing_any_more(small: GatewayServer, small_port: int) -> None:
    asked = v1_query("DescribeInvocationResults", {"InvokeId": "t-test", "WaitSeconds": "30"})
    for _ in range(4):
        with connection_to(small_port) as stranger:
            # What comes behind a request that waits is kept, and given up for nobody.
            stranger.sendall(f"GET /?{asked} HTTP/1.1\r\nHost: g\r\n\r\nGET /?a={'x' * PART_BYTES}".encode())
            assert exchange(small_port, "GET /healthz HTTP/1.1\nHost: g\nConnection: close").http_status == 200
        eventually(lambda: not small.server_state.connections, what="it has left")
    with contextlib.ExitStack() as opened:
        honest = [opened.enter_context(connection_to(small_port)) for _ in range(2)]
        for one in honest:
            one.sendall(b"GET /healthz?a=" + b"x" * PART_BYTES)
            assert exchange(small_port, "GET /healthz HTTP/1.1\nHost: g\nConnection: close").http_status == 200
        for one in honest:
            one.sendall(b" HTTP/1.1\r\nHost: g\r\n\r\n")
            assert read_reply(one).http_status == 200


def test_the_oldest_of_too_many_unfinished_bodies_is_given_up_and_its_connection_goes_on(small_port: int) -> None:
    head = f"POST /?Format=JSON HTTP/1.1\r\nHost: g\r\nContent-Length: {PART_BYTES + 1}\r\n\r\n".encode()
    with contextlib.ExitStack() as opened:
        strangers = [opened.enter_context(connection_to(small_port)) for _ in range(3)]
        for one in strangers:
            one.sendall(head + b"x" * PART_BYTES)
            assert exchange(small_port, "GET /healthz HTTP/1.1\nHost: g\nConnection: close").http_status == 200
        assert_given_up(read_reply(strangers[0]))
        strangers[0].sendall(b"x" + HEALTH)
        assert read_reply(strangers[0]).http_status == 200
        for one in strangers[1:]:
            one.sendall(b"x")
            assert read_reply(one).http_status == 400


def test_a_request_that_alone_is_too_large_is_refused_and_what_was_held_is_free_again(small_port: int) -> None:
    head = f"POST /?Format=JSON HTTP/1.1\nHost: g\nContent-Length: {HELD_BYTES + 1}"
    for _ in range(3):
        assert_given_up(exchange(small_port, head, b"x" * (HELD_BYTES + 1)))
        assert exchange(small_port, f"GET /?a={'x' * PART_BYTES} HTTP/1.1\nHost: g").http_status == 400


def test_silent_and_idle_connections_make_way_for_whoever_asks(small_port: int) -> None:
    with contextlib.ExitStack() as opened:
        idle = opened.enter_context(connection_to(small_port))
        idle.sendall(HEALTH)
        assert read_reply(idle).http_status == 200
        silent = [opened.enter_context(connection_to(small_port)) for _ in range(PLACES_COUNT - 1)]
        for one in silent:
            client = opened.enter_context(connection_to(small_port))
            client.sendall(HEALTH)
            assert read_reply(client).http_status == 200
            assert is_ended(one)
        idle.sendall(HEALTH)
        assert read_reply(idle).http_status == 200
        # Only idle ones are left: the one that has been so for the longest goes.
        newcomer = opened.enter_context(connection_to(small_port))
        newcomer.sendall(HEALTH)
        assert read_reply(newcomer).http_status == 200


def test_who_waits_for_an_answer_keeps_the_place_and_newcomers_are_told_to_come_again(
    small: GatewayServer, small_port: int
) -> None:
    with contextlib.ExitStack() as opened:
        waiting = [opened.enter_context(connection_to(small_port)) for _ in range(PLACES_COUNT)]
        for one in waiting:
            asked = v1_query("DescribeInvocationResults", {"InvokeId": "t-test", "WaitSeconds": "30"})
            one.sendall(f"POST /?{asked} HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".encode())
        eventually(lambda: len(small.server_state.tasks) == PLACES_COUNT, what="all of them wait")
        for _ in range(3):
            with connection_to(small_port) as newcomer:
                assert_given_up(read_reply(newcomer))
        small.should_exit = True
        assert [read_reply(one).http_status for one in waiting] == [200] * PLACES_COUNT


def test_what_was_given_up_is_in_the_metrics(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "places_count", lambda: 1)
    with whole_gateway(redis_server.url(), tmp_path / "home") as gateway, connection_to(gateway.port) as silent:
        assert b'cloud_assistant_gateway_given_up_total{what="connection"} 1.0' in gateway.get("/metrics")[1]
        assert is_ended(silent)
