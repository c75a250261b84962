"""A simulated fleet on one Redis-protocol server: what it costs when idle, and how long a command takes to reach all.

``.venv/bin/python tests/benchmarks/fleet.py [COUNT …]``, by default 100, 1,600 and 10,000 instances. Each instance has
a Redis user of its own with the rights of an agent, a key of its own, and the two connections of an idle agent, as far
as this process may open files (``ulimit -n``); those beyond beat on the connection of their queue.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.figures import Figure, Scale, as_table, at_most, times_floor  # noqa: E402
from benchmarks.rig import NO_REWRITE  # noqa: E402
from benchmarks.simulation import Orders, Report  # noqa: E402

from cloud_assistant.broker_config import keys  # noqa: E402
from cloud_assistant.broker_config.clock import now_ms  # noqa: E402
from cloud_assistant.broker_config.functions.function_library import fcall, run_all  # noqa: E402
from cloud_assistant.broker_config.security.signing import new_master_keys, read_master_keys, write_master_keys  # noqa: E402
from cloud_assistant.broker_config.settings_table import SecuritySettings, Settings  # noqa: E402
from cloud_assistant.producer.api import Assistant  # noqa: E402
from cloud_assistant.producer.fleet.targets import Targets  # noqa: E402
from cloud_assistant.producer.invocations.describing import InvocationFilter  # noqa: E402
from cloud_assistant.producer.security.agent_rights import agent_rules, agent_user  # noqa: E402
from harness.eventually import always, eventually  # noqa: E402
from harness.processes import clean_environment  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402

SIZES = (100, 1_600, 10_000)
PROCESS_COUNT = 2
KEY_FILE = "master-key.json"
#: Longer than a heartbeat's interval, so that every instance beats in it.
IDLE_SECONDS = 25.0
#: Files that server and simulators need beside the connections.
_SPARE_FILES = 100
_CHUNK_COUNT = 500


@dataclass(frozen=True)
class ServerState:
    """What the server says of itself."""

    cpu_seconds: float
    memory_bytes: int
    connection_count: int


class Fleet:
    """Simulated instances in a few processes, all on one server."""

    def __init__(self, server: RedisServer, folder: Path, count: int) -> None:
        self.instance_ids = [f"i-sim{number:05d}" for number in range(count)]
        self.assistant = _assistant(server, folder)
        self._server = server
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Register the instances and let them join."""
        master = read_master_keys(self._folder / KEY_FILE)
        self._register()
        soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        lane_count = min(len(self.instance_ids), soft_limit - _SPARE_FILES - len(self.instance_ids))
        for number in range(PROCESS_COUNT):
            share = self.instance_ids[number::PROCESS_COUNT]
            credentials = {
                one: (agent_user(one), f"pw-{one}", f"{master.current}:{master.instance_key(one).hex()}")
                for one in share
            }
            lanes = len(range(number, lane_count, PROCESS_COUNT))
            path = self._folder / f"orders-{number}.json"
            path.write_bytes(msgspec.json.encode(Orders(self._server.url(), credentials, lanes)))
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, HERE / "simulation.py", path],
                    env=clean_environment(self._folder),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
        for process in self._processes:
            assert process.stdout is not None
            assert b"ready" in process.stdout.readline(), "a process of the fleet ended; see its error output above"
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            # Closes its input, which is what ends it.
            process.communicate(timeout=20)
        self.assistant.close()

    def _register(self) -> None:
        for first in range(0, len(self.instance_ids), _CHUNK_COUNT):
            some = self.instance_ids[first : first + _CHUNK_COUNT]
            run_all(
                self.assistant.redis,
                [
                    fcall("ca_register_instance", [keys.INSTANCES, keys.profile(one)], [one, now_ms(), 0, "name", one])
                    for one in some
                ],
            )
            users = [
                ("ACL", "SETUSER", agent_user(one), "on", f">pw-{one}", *agent_rules(one, database=0)) for one in some
            ]
            self.assistant.redis.pipeline_or_raise(users)

    def reports(self) -> list[Report]:
        """What the processes say now."""
        found = []
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            found.append(msgspec.json.decode(process.stdout.readline(), type=Report))
        return found

    def total(self, name: str) -> float:
        """The sum of one counter."""
        return sum(one.counters[name] for one in self.reports())

    def server_state(self) -> ServerState:
        """Ask the server."""
        text: str = self.assistant.redis.call("INFO").decode()
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return ServerState(
            cpu_seconds=float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"]),
            memory_bytes=int(facts["used_memory"]),
            connection_count=int(facts["connected_clients"]),
        )


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """All sizes, then how the cost of one target grows from the smallest fleet to the largest."""
    sizes = SIZES if not scale.is_quick else (10, 40)
    found = [measure(folder / f"fleet-{count}", count, scale.of(IDLE_SECONDS, 0.5)) for count in sizes]
    growth = [
        Figure(
            f"fleet, growth from {sizes[0]:,} to {sizes[-1]:,} instances: {small.name.partition(': ')[2]}",
            small.unit,
            large.ours,
            small.ours,
            goal=times_floor(1.25),
        )
        for small, large in zip(found[0], found[-1], strict=True)
        if small.name.endswith(("server CPU per target", "simulators' CPU per target"))
    ]
    return [figure for of_size in found for figure in of_size] + growth


def measure(folder: Path, count: int, idle_seconds: float) -> list[Figure]:
    """All figures of one size, on a server of its own."""
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    folder.mkdir(parents=True)
    with (
        RedisServer(folder / "redis", config={**NO_REWRITE, "maxclients": soft_limit - 64}) as server,
        ExitStack() as ending,
    ):
        fleet = Fleet(server, folder, count)
        empty = fleet.server_state()
        began = time.perf_counter()
        ending.enter_context(fleet)
        eventually(lambda: fleet.total("beat_count") >= count, 60, "all instances beat")
        joined_seconds = time.perf_counter() - began
        joined = Figure(f"fleet of {count:,}: registered and joined", "s", joined_seconds)
        return [joined, *_idle(fleet, count, idle_seconds, empty), *_fan_out(fleet, count)]


def _idle(fleet: Fleet, count: int, idle_seconds: float, empty: ServerState) -> list[Figure]:
    before, reports = fleet.server_state(), fleet.reports()
    began = time.perf_counter()
    always(lambda: True, idle_seconds, every_seconds=1)
    took = time.perf_counter() - began
    after, later = fleet.server_state(), fleet.reports()
    commands = sum(one.command_count for one in later) - sum(one.command_count for one in reports)
    beats = _sum(later, "beat_count") - _sum(reports, "beat_count")
    cpu = (after.cpu_seconds - before.cpu_seconds) / took
    name = f"fleet of {count:,}, idle"
    return [
        Figure(f"{name}: connections", "", after.connection_count, goal=at_most(2 * count + 1)),
        Figure(f"{name}: server memory per instance", "kB", (after.memory_bytes - empty.memory_bytes) / count / 1e3),
        Figure(f"{name}: server CPU", "% of a core", cpu * 100),
        Figure(f"{name}: server CPU per instance and second", "µs", cpu / count * 1e6),
        Figure(f"{name}: commands per instance", "/s", commands / took / count, goal=at_most(0.2)),
        Figure(f"{name}: heartbeats", "/s", beats / took),
    ]


def _fan_out(fleet: Fleet, count: int) -> list[Figure]:
    before, cpu_before = fleet.server_state(), sum(one.cpu_seconds for one in fleet.reports())
    began = time.monotonic()
    invoked = fleet.assistant.run_command("echo 123", Targets(instance_ids=fleet.instance_ids))
    dispatched = time.monotonic() - began
    eventually(lambda: fleet.total("finished_count") >= count, 120, "all instances ran the command", 0.2)
    reports, after = fleet.reports(), fleet.server_state()
    claimed = max(one.counters["claimed_at"] for one in reports) - began
    finished = max(one.counters["finished_at"] for one in reports) - began
    simulators = sum(one.cpu_seconds for one in reports) - cpu_before
    [described] = fleet.assistant.describe_invocations(InvocationFilter(invoke_id=invoked.invoke_id)).items
    assert described.status.counts == {"Success": count}, described.status
    name = f"fleet of {count:,}, one command to all"
    return [
        Figure(f"{name}: dispatched", "s", dispatched),
        Figure(f"{name}: all have claimed", "s", claimed, goal=at_most(10)),
        Figure(f"{name}: all results are stored", "s", finished),
        Figure(f"{name}: server CPU per target", "µs", (after.cpu_seconds - before.cpu_seconds) / count * 1e6),
        Figure(f"{name}: simulators' CPU per target", "µs", simulators / count * 1e6),
        Figure(f"{name}: server memory per target", "kB", (after.memory_bytes - before.memory_bytes) / count / 1e3),
    ]


def _sum(reports: Sequence[Report], name: str) -> float:
    return sum(one.counters[name] for one in reports)


def _assistant(server: RedisServer, folder: Path) -> Assistant:
    key_file = folder / KEY_FILE
    if not key_file.exists():
        write_master_keys(key_file, new_master_keys())
    settings = Settings(
        redis_url=server.url(), home=str(folder), security=SecuritySettings(master_key_file=str(key_file))
    )
    return Assistant(settings=settings)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        for number in [int(one) for one in sys.argv[1:]] or SIZES:
            print(as_table(measure(Path(name) / str(number), number, IDLE_SECONDS)))
