"""One target: latency and rate with one request in flight, and a burst of requests at once."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import floor
from benchmarks.figures import Figure, Scale, at_least, at_most, interleaved, of_runs, quantile, times_floor
from benchmarks.rig import Rig

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.fleet.targets import Targets

INSTANCE = "i-bench"
SCRIPT = "echo 123"


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """Latency and burst on one warm agent."""
    with Rig(folder) as rig:
        rig.start_agent(INSTANCE)
        rig.start_floor(["one"])
        redis = rig.assistant.redis

        def ours() -> float:
            return run_one(rig.assistant)

        def base() -> float:
            return floor.round_trip(redis, "one", SCRIPT)

        interleaved(ours, base, scale.of(30, 2))
        one = one_in_flight(ours, base, scale)
        return one + burst(rig.assistant, redis, scale)


def run_one(assistant: Assistant) -> float:
    """Seconds from the request to the result in hand."""
    began = time.perf_counter()
    invoked = assistant.run_command(SCRIPT, Targets(instance_ids=[INSTANCE]))
    [row] = assistant.wait(invoked.invoke_id, timeout_seconds=30).results
    took = time.perf_counter() - began
    assert row.outcome.output.data == b"123\n", row
    return took


def one_in_flight(ours: Callable[[], float], base: Callable[[], float], scale: Scale) -> list[Figure]:
    """Each request waits for the result of the one before."""
    runs = [interleaved(ours, base, scale.of(300, 10)) for _ in range(scale.run_count)]
    ms = [[[1e3 * one for one in times] for times in run] for run in runs]

    def over_runs(summary: Callable[[list[float]], float]) -> tuple[list[float], list[float]]:
        return [summary(run[0]) for run in ms], [summary(run[1]) for run in ms]

    return [
        of_runs("one target, Python API, p50", "ms", *over_runs(median), goal=times_floor(3, then=1.8)),
        of_runs("one target, Python API, p99", "ms", *over_runs(lambda run: quantile(run, 0.99)), goal=times_floor(6)),
        of_runs("one in flight", "/s", *over_runs(lambda run: 1e3 * len(run) / sum(run)), goal=at_least(250, then=500)),
    ]


def burst(assistant: Assistant, redis: Redis, scale: Scale) -> list[Figure]:
    """All requests at once on one agent with ten slots."""
    count = scale.of(300, 20)
    pairs = [(_burst(assistant, count), _floor_burst(redis, count)) for _ in range(scale.run_count)]
    return [
        of_runs(
            f"burst of {count} on one agent, 10 slots",
            "/s",
            [ours[0] for ours, _ in pairs],
            [base for _, base in pairs],
            goal=at_least(450),
        ),
        of_runs("control side CPU per request and wait", "ms", [ours[1] for ours, _ in pairs], goal=at_most(0.3)),
    ]


def _burst(assistant: Assistant, count: int) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    targets = Targets(instance_ids=[INSTANCE])
    for invoke_id in [assistant.run_command(SCRIPT, targets).invoke_id for _ in range(count)]:
        assistant.wait(invoke_id, timeout_seconds=60)
    return count / (time.perf_counter() - began), 1e3 * (time.process_time() - cpu) / count


def _floor_burst(redis: Redis, count: int) -> float:
    began = time.perf_counter()
    redis.pipeline_or_raise([("LPUSH", "floor:one", SCRIPT)] * count)
    for _ in range(count):
        redis.call("BRPOP", "floor:one:reply", 30)
    return count / (time.perf_counter() - began)
