"""Measure the gateway: signed requests beside a constant answer of the same server, and pages over a long history.

``.venv/bin/python tests/benchmarks/bench_gateway.py``. Requests are signed beforehand and sent raw over kept
connections, so that the clients cost little of the machine that they share with the gateway. The floor is the same
server, over the same connections, answering a path that it does not know.
"""

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.figures import Figure, Scale, as_table, at_most, quantile, times_floor  # noqa: E402
from benchmarks.memory import most_resident_bytes  # noqa: E402
from benchmarks.rig import NO_REWRITE  # noqa: E402
from unit.producer.gateway.signing import v1_query  # noqa: E402

from cloud_assistant.broker_config import keys  # noqa: E402
from cloud_assistant.broker_config.clock import now_ms  # noqa: E402
from cloud_assistant.broker_config.settings_table import Settings  # noqa: E402
from cloud_assistant.producer.api import Assistant  # noqa: E402
from cloud_assistant.producer.fleet.targets import Targets  # noqa: E402
from harness.eventually import eventually  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402
from harness.system import Gateway, System  # noqa: E402

KEY = {"CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID": "bench", "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET": "bench-secret"}
REQUESTS = 640
CLIENTS = (1, 16, 64)
HISTORY_RUNS = 10
HISTORY_TARGETS = 10_000
CONSTANT = b"GET /constant HTTP/1.1\r\nHost: bench\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What came of many requests by some clients."""

    seconds: float
    latencies: Sequence[float]
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds


def signed(action: str, **parameters: str) -> bytes:
    """One raw request, signed, with a nonce of its own."""
    query = v1_query(action, {"RegionId": "local", **parameters}, secret="bench-secret", AccessKeyId="bench")
    return f"POST /?{query} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n".encode()


def load(gateway: Gateway, requests: Sequence[bytes], clients: int, expected: bytes = b"200") -> Load:
    """Send all requests over some kept connections, each client its share one by one."""
    port = int(gateway.url.rpartition(":")[2])
    shares = [requests[number::clients] for number in range(clients)]
    latencies: list[float] = []
    failed: list[bytes] = []
    start = threading.Barrier(clients + 1)

    def work(share: Sequence[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            replies = read_replies(connection)
            start.wait()
            for request in share:
                began = time.perf_counter()
                connection.sendall(request)
                status = next(replies)
                latencies.append(time.perf_counter() - began)
                if status != expected:
                    failed.append(status)

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    start.wait()
    cpu, began = gateway.cpu_seconds, time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    assert not failed, failed[:3]
    return Load(took, sorted(latencies), gateway.cpu_seconds - cpu)


def read_replies(connection: socket.socket) -> Iterator[bytes]:
    """Yield the status of one reply after the other."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length"))
        while len(data) < length:
            data += connection.recv(65536)
        data = data[length:]
        yield head.split(b" ")[1]


def throughput(gateway: Gateway, invoke_id: str, scale: Scale) -> list[Figure]:
    """Rates and latencies by number of clients."""
    found = []
    requests = scale.of(REQUESTS, 64)
    for clients in CLIENTS if not scale.is_quick else (1, 4):
        constant = load(gateway, [CONSTANT] * requests, clients, b"404")
        describe = load(
            gateway, [signed("DescribeInvocationResults", InvokeId=invoke_id) for _ in range(requests)], clients
        )
        run = load(
            gateway,
            [
                signed("RunCommand", **{"InstanceId.1": "i-bench", "Type": "RunShellScript", "CommandContent": "true"})
                for _ in range(requests)
            ],
            clients,
        )
        for name, ours in (("DescribeInvocationResults", describe), ("RunCommand", run)):
            what = f"{name}, {clients} clients"
            found += [
                Figure(what, "/s", ours.rate, constant.rate),
                Figure(f"{what}, p50", "ms", median(ours.latencies) * 1e3, median(constant.latencies) * 1e3),
                Figure(
                    f"{what}, p99",
                    "ms",
                    quantile(list(ours.latencies), 0.99) * 1e3,
                    quantile(list(constant.latencies), 0.99) * 1e3,
                ),
            ]
            if clients == 1:
                spent, least = ours.cpu_seconds / requests * 1e3, constant.cpu_seconds / requests * 1e3
                found.append(Figure(f"{name}, the gateway's CPU", "ms", spent, least, goal=at_most(3)))
    return found


def history(gateway: Gateway, assistant: Assistant, invoke_id: str, scale: Scale) -> list[Figure]:
    """One page before and after 100,000 results were stored; here the floor is the page before."""
    queries = {
        "of one invocation": {"InvokeId": invoke_id},
        "of one instance, 50 results": {"InstanceId": "i-bench", "MaxResults": "50"},
        "of everything, 50 results": {"MaxResults": "50"},
    }

    def pages() -> list[float]:
        loads = (
            load(gateway, [signed("DescribeInvocationResults", **query) for _ in range(60)], 1)
            for query in queries.values()
        )
        return [median(one.latencies) * 1e3 for one in loads]

    before = pages()
    fleet = [f"i-fleet-{number}" for number in range(scale.of(HISTORY_TARGETS, 200))]
    assistant.redis.pipeline_or_raise([("ZADD", keys.INSTANCES, now_ms(), one) for one in fleet])
    for _ in range(scale.of(HISTORY_RUNS, 2)):
        assistant.run_command("true", Targets(instance_ids=fleet))
    stored = f"{scale.of(HISTORY_RUNS * HISTORY_TARGETS, 400):,} more results"
    return [
        Figure(f"page {name}, with {stored}", "ms", ours, base, goal=times_floor(1.5))
        for name, ours, base in zip(queries, pages(), before, strict=True)
    ]


def large_listing(gateway: Gateway, scale: Scale) -> list[Figure]:
    """The first page of the invocations on a large fleet, with every execution, by several clients at once."""
    clients = scale.of(8, 2)
    port = int(gateway.url.rpartition(":")[2])
    seconds: list[float] = []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            replies = read_replies(connection)

            def is_answered() -> bool:
                connection.sendall(signed("DescribeInvocations"))
                return next(replies) == b"200"

            began = time.perf_counter()
            # Told to come back in 5 s, these come at once.
            eventually(is_answered, within_seconds=300, what="an answer")
            seconds.append(time.perf_counter() - began)

    ask()
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = f"{scale.of(HISTORY_RUNS * HISTORY_TARGETS, 400):,} executions"
    peak_bytes = most_resident_bytes(gateway.pid)
    return [
        Figure(f"DescribeInvocations, {rows} in one answer", "s", seconds[0]),
        Figure(f"the same for {clients} clients at once, the last", "s", max(seconds)),
        Figure("the most memory that the gateway has had", "MB", peak_bytes / 1e6, goal=at_most(400)),
    ]


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """Throughput, then pages over a long history."""
    with RedisServer(folder / "redis", config=NO_REWRITE) as server, ExitStack() as ending:
        system = System.on(server, folder / "system")
        ending.callback(system.stop)
        assistant = Assistant(settings=Settings(redis_url=server.url(), home=str(folder)))
        ending.callback(assistant.close)
        assistant.add_instance("i-bench")
        gateway = system.start_gateway(environment=KEY)
        invoke_id = assistant.run_command("true", Targets(instance_ids=["i-bench"])).invoke_id
        load(gateway, [CONSTANT] * scale.of(200, 20), 4, b"404")
        return [
            *throughput(gateway, invoke_id, scale),
            *history(gateway, assistant, invoke_id, scale),
            *large_listing(gateway, scale),
        ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        print(as_table(figures(Scale(), Path(name))))
