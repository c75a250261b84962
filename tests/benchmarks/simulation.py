"""One process of a simulated fleet: thousands of instances on one loop.

Started by ``fleet.py`` with the path of a JSON file (see ``Orders``). Each line on the standard input asks for a line
with its counters, and the end of the input ends it.
"""

import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import hiredis
import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.simulated_instance import Counters, Life, SimulatedInstance, identities

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command

_READ_BYTES = 65536
#: Pauses of the ramp, so that the server's queue of new connections never overflows.
_RAMP_COUNT = 200


class Orders(msgspec.Struct):
    """What a process is to simulate."""

    redis_url: str
    #: Instance id → (user, password, instance key); the user is empty where there are no users.
    instances: dict[str, tuple[str, str, str]]
    #: So many of them get a second connection, for the lane.
    lane_count: int


class Report(msgspec.Struct):
    """What a process says of itself."""

    counters: dict[str, float]
    connection_count: int
    cpu_seconds: float
    command_count: int


class Line:
    """One connection and the life that is led on it."""

    __slots__ = ("_awaited_count", "_life", "_reader", "_replies", "socket")

    def __init__(self, address: tuple[str, int], life: Life) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        self._life = life
        self._replies: list[Any] = []
        self._awaited_count = self._send(next(life))

    def serve(self) -> int:
        """Read what has come; send what is next when it was the last awaited reply. Return how much was sent."""
        received = self.socket.recv(_READ_BYTES)
        if not received:
            raise ConnectionResetError("the server closed a connection of the fleet")
        self._reader.feed(received)
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                raise reply
            self._replies.append(reply)
        if len(self._replies) < self._awaited_count:
            return 0
        replies, self._replies = self._replies, []
        self._awaited_count = self._send(self._life.send(replies))
        return self._awaited_count

    def _send(self, commands: Any) -> int:
        self.socket.sendall(b"".join(hiredis.pack_command(tuple(one)) for one in commands))
        return len(commands)


class Simulation:
    """All instances of this process."""

    def __init__(self, orders: Orders) -> None:
        self._told = Counters()
        self._command_count = 0
        self._poll = select.epoll()
        self._lines: dict[int, Line] = {}
        redis = Redis(orders.redis_url)
        self._address = redis.address.hosts[0]
        for number, identity in enumerate(identities(orders.instances)):
            user, password, key = orders.instances[identity.instance_id]
            greeting: list[Command] = [("AUTH", user, password)] if user else []
            greeting.append(("CLIENT", "SETNAME", f"agent:{identity.instance_id}"))
            instance = SimulatedInstance(identity, key, greeting, redis, self._told)
            has_lane = number < orders.lane_count
            self._open(instance.work(has_lane=has_lane))
            if has_lane:
                self._open(instance.lane())
            if number % _RAMP_COUNT == 0:
                self._serve(0.05)

    def run(self) -> None:
        """Serve until nobody asks any more."""
        self._poll.register(0, select.EPOLLIN)
        say({"ready": len(self._lines)})
        while self._serve(1.0):
            continue

    def _open(self, life: Life) -> None:
        line = Line(self._address, life)
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)

    def _serve(self, timeout_seconds: float) -> bool:
        for fd, _ in self._poll.poll(timeout_seconds):
            if fd == 0:
                if not os.read(0, 4096):
                    return False
                say(self._report())
            else:
                self._command_count += self._lines[fd].serve()
        return True

    def _report(self) -> Report:
        return Report(vars(self._told), len(self._lines), time.process_time(), self._command_count)


def say(what: object) -> None:
    """Write one line for whoever started us."""
    os.write(1, msgspec.json.encode(what) + b"\n")


if __name__ == "__main__":
    Simulation(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders)).run()
