"""Free ports, taken ports, and who has them."""

import os
import socket
import sys
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.producer.local_system.port_claims import PortClaim, check_claims
from cloud_assistant.producer.local_system.ports import accepts, is_free, next_free_port, owner_of
from harness.ports import reserve_port


def listen() -> tuple[socket.socket, int]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


def test_a_port_with_a_listener_is_not_free_and_becomes_so() -> None:
    listener, port = listen()
    assert accepts("127.0.0.1", port)
    assert not is_free("127.0.0.1", port)
    listener.close()
    assert is_free("127.0.0.1", port)
    assert not accepts("127.0.0.1", port)


def test_a_port_whose_server_has_just_closed_its_connections_is_free() -> None:
    listener, port = listen()
    with listener, socket.create_connection(("127.0.0.1", port)) as client:
        line, _ = listener.accept()
        # The side that closes first is the one that waits.
        line.close()
        assert client.recv(1) == b""
    assert is_free("127.0.0.1", port)


def test_the_next_free_port_passes_over_a_taken_one() -> None:
    listener, port = listen()
    with listener:
        assert next_free_port("127.0.0.1", port - 1) > port


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_the_owner_of_a_port_is_named_with_its_pid() -> None:
    listener, port = listen()
    with listener:
        assert f"(pid {os.getpid()})" in owner_of(port)
        assert Path(sys.executable).name in owner_of(port) or "pytest" in owner_of(port)
    assert owner_of(port) == ""


def test_a_connection_that_outlived_its_listener_owns_no_port() -> None:
    listener, port = listen()
    with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
        listener.close()
        assert owner_of(port) == ""


def test_free_ports_are_no_problem() -> None:
    reserved = reserve_port()
    check_claims([PortClaim("Redis", "127.0.0.1", reserved.number, "--redis-port")])
    reserved.release()


def test_every_taken_port_is_named_with_its_program_and_the_way_out() -> None:
    first, one = listen()
    second, other = listen()
    with first, second, pytest.raises(Refused) as refused:
        check_claims(
            [
                PortClaim("the gateway", "127.0.0.1", one, "--gateway-port"),
                PortClaim("Flower", "127.0.0.1", other, "--flower-port"),
            ]
        )
    for fact in (
        f"port {one} for the gateway is taken by",
        "assist up --gateway-port ",
        f"port {other} for Flower is taken by",
        "assist up --flower-port ",
    ):
        assert fact in str(refused.value)


def test_two_programs_cannot_have_one_port() -> None:
    reserved = reserve_port()
    with pytest.raises(Refused, match="asked for by the gateway and Flower"):
        check_claims(
            [
                PortClaim("the gateway", "127.0.0.1", reserved.number, "--gateway-port"),
                PortClaim("Flower", "127.0.0.1", reserved.number, "--flower-port"),
            ]
        )
    reserved.release()


def test_an_address_that_is_not_ours_says_so() -> None:
    with pytest.raises(Refused, match=r"the gateway cannot listen on 192\.0\.2\.1 port 8177"):
        check_claims([PortClaim("the gateway", "192.0.2.1", 8177, "--gateway-port")])
