"""What is measured, each as (ours, floor) of the same run."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import floor

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.targets import Targets
from harness.eventually import always
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer
from harness.system import System

INSTANCE = "i-bench"
ROUNDS = 300
BURST_COUNT = 300
FLEET_COUNT = 10_000


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    ours: float
    floor: float | None
    goal: str

    @property
    def ratio(self) -> float | None:
        """Ours over the floor of the same run."""
        return self.ours / self.floor if self.floor else None


@dataclass
class Bench:
    """A server, one warm agent, one floor agent, and the Python API."""

    server: RedisServer
    system: System
    assistant: Assistant
    agent: Program
    folder: Path

    def run_one(self) -> float:
        """Seconds from the request to the result in hand."""
        began = time.perf_counter()
        invoked = self.assistant.run_command("echo 123", Targets(instance_ids=[INSTANCE]))
        [row] = self.assistant.wait(invoked.invoke_id, timeout_seconds=30).results
        took = time.perf_counter() - began
        assert row.outcome.output.data == b"123\n", row
        return took

    def floor_one(self) -> float:
        """The same on the floor."""
        return floor.round_trip(self.assistant.redis, "one", "echo 123")


def interleaved(ours: Callable[[], float], other: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Measure both in turn, so that a drift of the machine meets both alike; the first tenth is warming up."""
    pairs = [(ours(), other()) for _ in range(rounds)]
    kept = pairs[rounds // 10 :]
    return sorted(pair[0] for pair in kept), sorted(pair[1] for pair in kept)


def quantile(ordered: list[float], share: float) -> float:
    """The value below which a share of the sorted values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def one_target(bench: Bench) -> list[Figure]:
    """Latency and rate with one request in flight."""
    ours, base = interleaved(bench.run_one, bench.floor_one, ROUNDS)
    mean, base_mean = sum(ours) / len(ours), sum(base) / len(base)
    return [
        Figure(
            "one target, Python API, p50", "ms", median(ours) * 1e3, median(base) * 1e3, "≤ 3 × floor, then ≤ 1.8 ×"
        ),
        Figure(
            "one target, Python API, p99", "ms", quantile(ours, 0.99) * 1e3, quantile(base, 0.99) * 1e3, "≤ 6 × floor"
        ),
        Figure("one in flight", "/s", 1 / mean, 1 / base_mean, "≥ 250/s, then ≥ 500/s"),
    ]


def burst(bench: Bench) -> list[Figure]:
    """All at once on one agent."""
    began = time.perf_counter()
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    made = [
        bench.assistant.run_command("echo 123", Targets(instance_ids=[INSTANCE])).invoke_id for _ in range(BURST_COUNT)
    ]
    for invoke_id in made:
        bench.assistant.wait(invoke_id, timeout_seconds=60)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = (after.ru_utime - cpu.ru_utime) + (after.ru_stime - cpu.ru_stime)
    redis = bench.assistant.redis
    began = time.perf_counter()
    redis.pipeline([("LPUSH", "floor:one", "echo 123")] * BURST_COUNT)
    for _ in range(BURST_COUNT):
        redis.call("BRPOP", "floor:one:reply", 30)
    base = time.perf_counter() - began
    return [
        Figure("burst on one agent, 10 slots", "/s", BURST_COUNT / took, BURST_COUNT / base, "≥ 450/s"),
        Figure("control side CPU per request and wait", "ms", spent / BURST_COUNT * 1e3, None, "≤ 0.3 ms per target"),
    ]


def dispatch(bench: Bench) -> list[Figure]:
    """Rows and messages for a fleet, beside a bare pipeline of the same bytes."""
    redis = bench.assistant.redis
    targets = [f"i-fleet-{number}" for number in range(FLEET_COUNT)]
    redis.pipeline_or_raise([("ZADD", keys.INSTANCES, now_ms(), one) for one in targets])
    ours, base = [], []
    for _ in range(3):
        cpu = time.process_time()
        began = time.perf_counter()
        invoked = bench.assistant.run_command("echo 123", Targets(instance_ids=targets))
        ours.append((time.perf_counter() - began, time.process_time() - cpu))
        row = redis.call("HGETALL", keys.execution(targets[0], f"{invoked.invoke_id}.0@{targets[0]}"))
        message = redis.call("LINDEX", keys.queue(targets[0]), 0)
        began = time.perf_counter()
        for first in range(0, FLEET_COUNT, 400):
            commands = []
            for number in range(first, first + 400):
                commands += [("LPUSH", f"floor:q:{number}", message), ("HSET", f"floor:h:{number}", *row)]
            redis.pipeline(commands)
        base.append(time.perf_counter() - began)
    took, spent = median(one[0] for one in ours), median(one[1] for one in ours)
    return [
        Figure(f"dispatch to {FLEET_COUNT} targets", "s", took, median(base), "≤ 2 × a raw pipelined LPUSH + HSET"),
        Figure("dispatch, our CPU per target", "µs", spent / FLEET_COUNT * 1e6, None, "≤ 300 µs"),
    ]


def command_line(bench: Bench) -> list[Figure]:
    """Whole processes."""
    environment = clean_environment(bench.folder, {"CLOUD_ASSISTANT_REDIS_URL": bench.server.url()})

    def timed(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([str(installed_program("assist")), *arguments], env=environment, check=True, capture_output=True)
        return time.perf_counter() - began

    def bare() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return time.perf_counter() - began

    helps, python = interleaved(lambda: timed("--help"), bare, 20)
    runs, _ = interleaved(lambda: timed("run", "echo 123", "--instance", INSTANCE), bare, 20)
    return [
        Figure("assist --help, whole process, p50", "ms", median(helps) * 1e3, median(python) * 1e3, "≤ 60 ms"),
        Figure("assist run, whole process, p50", "ms", median(runs) * 1e3, median(python) * 1e3, "≤ 150 ms"),
    ]


def footprint(bench: Bench) -> list[Figure]:
    """The idle agent; measured over ten seconds."""
    redis: Redis = bench.assistant.redis
    family = [bench.agent.pid, *(one.pid for one in bench.agent.tree() if one.pid != bench.agent.pid)]
    private = sum(_private_bytes(pid) for pid in family)
    connections = sum(INSTANCE in line for line in redis.call("CLIENT", "LIST").decode().splitlines())
    cpu = bench.agent.cpu_seconds
    always(lambda: bench.agent.is_running, 10, "the agent idles", every_seconds=1)
    idle = (bench.agent.cpu_seconds - cpu) / 10
    return [
        Figure("agent, private memory idle", "MB", private / 1e6, None, "≤ 35 MB"),
        Figure("agent, Redis connections idle", "", connections, None, "≤ 2"),
        Figure("agent, idle CPU", "%", idle * 100, None, "≤ 0.05 %"),
    ]


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


MEASURES: list[Callable[[Bench], list[Figure]]] = [one_target, burst, dispatch, command_line, footprint]
