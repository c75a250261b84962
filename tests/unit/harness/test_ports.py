import socket

from harness.ports import FIRST_PORT, LAST_PORT, reserve_port


def test_two_reservations_never_share_a_port() -> None:
    reserved = [reserve_port() for _ in range(20)]
    assert len({port.number for port in reserved}) == 20
    for port in reserved:
        port.release()


def test_a_reserved_port_can_be_listened_on_and_is_in_our_range() -> None:
    port = reserve_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port.number))
        server.listen()
    assert FIRST_PORT <= port.number <= LAST_PORT
    port.release()
    port.release()
