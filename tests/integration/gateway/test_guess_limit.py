"""What counts wrong activation codes ends by itself, also when the line to Redis breaks in the middle of counting."""

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.gateway.access.guess_limit import WINDOW_SECONDS
from harness.redis_server import RedisServer

_COUNTING = b"$4\r\nINCR\r\n"


class CountingCut:
    """Forward connections to a server; the first one that counts is broken off right behind that command."""

    def __init__(self, server_port: int) -> None:
        self.was_cut = threading.Event()
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def stop(self) -> None:
        """Take no more; to be called when nobody uses a connection any more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def _run(self, work: Callable[..., None], *given: socket.socket) -> None:
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._run(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            other = {client: server, server: client}
            while True:
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client and _COUNTING in data and not self.was_cut.is_set():
                        server.sendall(data[: _end_of_counting(data)])
                        # What the server does with it has been done once it answers.
                        server.recv(65536)
                        self.was_cut.set()
                        return
                    other[ready].sendall(data)


def _end_of_counting(asked: bytes) -> int:
    length_at = asked.index(_COUNTING) + len(_COUNTING) + 1
    line_end = asked.index(b"\r\n", length_at)
    return line_end + 2 + int(asked[length_at:line_end]) + 2


@contextmanager
def cut_gateway(server: RedisServer, home: Path) -> Iterator[tuple[WholeGateway, CountingCut]]:
    """A gateway whose line to Redis breaks when it counts for the first time."""
    cut = CountingCut(server.port)
    try:
        with whole_gateway(f"redis://127.0.0.1:{cut.port}/0", home, has_master_key=True) as gateway:
            yield gateway, cut
    finally:
        cut.stop()


def guess(gateway: WholeGateway) -> tuple[int, str]:
    """Try a code that is none; answers status and code."""
    given = {
        "ActivationId": "F",
        "ActivationCode": "a-guess",
        "MachineId": "machine-1",
        "ClientToken": "secret-of-one-1",
    }
    status, body = gateway.post(json.dumps(given), path="/register")
    return status, json.loads(body)["Code"]


def counters(redis: Redis) -> list[tuple[int, int]]:
    """Each counter, with the seconds it has left; -1 is for ever."""
    names = redis.call("KEYS", keys.rate("registration", "*"))
    return [(int(redis.call("GET", name)), redis.call("TTL", name)) for name in names]


def test_a_count_that_breaks_off_leaves_nothing_that_lives_for_ever(redis_server: RedisServer, tmp_path: Path) -> None:
    redis = Redis(redis_server.url())
    with cut_gateway(redis_server, tmp_path / "home") as (gateway, cut):
        broken_off = guess(gateway)
        assert cut.was_cut.is_set()
        assert [left_seconds for _, left_seconds in counters(redis) if left_seconds < 0] == []
        assert broken_off == (503, "ServiceUnavailable")
        assert guess(gateway) == (403, "ActivationCode.Invalid")
        ((count, left_seconds),) = counters(redis)
        assert count == 1
        assert 0 < left_seconds <= WINDOW_SECONDS
    redis.close()


def test_the_window_begins_with_the_first_wrong_guess(redis_server: RedisServer, tmp_path: Path) -> None:
    redis = Redis(redis_server.url())
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        guess(gateway)
        (name,) = redis.call("KEYS", keys.rate("registration", "*"))
        redis.call("EXPIRE", name, WINDOW_SECONDS // 2)
        guess(gateway)
        ((count, left_seconds),) = counters(redis)
        assert count == 2
        assert 0 < left_seconds <= WINDOW_SECONDS // 2
    redis.close()
