"""Measure the scheduler: how late it is, what a firing costs, and what it keeps in memory.

``.venv/bin/python tests/benchmarks/bench_beat.py``. Lateness is taken from the firing rows: the moment Redis' own clock
showed when the decision was written, minus the due time. The floor is the least that a scheduler over Redis can do for
one due time: pop it from a sorted set and push one message, in pipelines of the same length as ours.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.figures import Figure, Scale, as_table, at_most, of_runs, quantile, times_floor  # noqa: E402
from benchmarks.rig import NO_REWRITE  # noqa: E402
from integration.beat.bulk import store  # noqa: E402

from cloud_assistant.broker_config import keys  # noqa: E402
from cloud_assistant.broker_config.redis.client import Redis  # noqa: E402
from cloud_assistant.broker_config.timed.timed_invocation import server_ms  # noqa: E402
from harness.eventually import eventually  # noqa: E402
from harness.processes import Program  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402
from harness.system import System  # noqa: E402

DUE_AT_ONCE = 1_000
STORED = 100_000
BURSTS = 4
SPREAD_SECONDS = 60
INSTANCES = [f"i-bench{number:04d}" for number in range(1_000)]
FAR = "0 0 0 1 1 *"
PIPELINE_COUNT = 50
MESSAGE = b"x" * 1_600


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """Run all measures on one server, each with a beat of its own."""
    with RedisServer(folder / "redis", config=NO_REWRITE) as server, ExitStack() as ending:
        system = System.on(server, folder / "system")
        ending.callback(system.stop)
        redis = Redis(server.url(), timeout_seconds=60)
        ending.callback(redis.close)
        found = at_once(redis, server, system, scale)
        if not scale.is_quick:
            redis.call("FLUSHALL")
            found += spread(redis, system)
    return found


def at_once(redis: Redis, server: RedisServer, system: System, scale: Scale) -> list[Figure]:
    """1,000 schedules due in the same second, again and again."""
    due_count, burst_count = scale.of(DUE_AT_ONCE, 20), scale.of(BURSTS, 1)
    every = scale.of(5, 1)
    invoke_ids = store(
        redis, f"*/{every} * * * * *", due_count, now_ms=server_ms(redis) + 2_000, instance_ids=INSTANCES
    )
    beat = start(system, "beat-burst")
    wait_for_bursts(redis, invoke_ids, 1)
    cpu = beat.cpu_seconds, server.program.cpu_seconds
    wait_for_bursts(redis, invoke_ids, 1 + burst_count)
    fired = due_count * burst_count
    ours_us = [1e6 * (now - before) / fired for now, before in zip(cpu_of(beat, server), cpu, strict=True)]
    beat.stop()
    bursts = list(lateness_ms(redis, invoke_ids).values())[1 : 1 + burst_count]
    floor_beat_us, floor_redis_us = floor(redis, server, fired)
    return [
        of_runs(f"{due_count:,} due in one second: late p50", "ms", [quantile(one, 0.5) for one in bursts]),
        of_runs(
            f"{due_count:,} due in one second: late p99",
            "ms",
            [quantile(one, 0.99) for one in bursts],
            goal=at_most(200),
        ),
        Figure("CPU of the beat per firing", "µs", ours_us[0], floor_beat_us),
        Figure("CPU of Redis per firing", "µs", ours_us[1], floor_redis_us),
    ]


def spread(redis: Redis, system: System) -> list[Figure]:
    """100,000 stored, 1,000 of them due per minute."""
    few = start(system, "beat-few")
    invoke_ids = store(redis, "*/5 * * * * *", 10, now_ms=server_ms(redis), instance_ids=INSTANCES)
    wait_for_bursts(redis, invoke_ids, 1)
    rss_few = few.rss_bytes
    few.stop()
    redis.call("FLUSHALL")

    stored_ms = server_ms(redis)
    store(redis, FAR, STORED - DUE_AT_ONCE, now_ms=stored_ms, instance_ids=INSTANCES)
    due: list[str] = []
    for second in range(60):
        share = DUE_AT_ONCE // 60 + (second < DUE_AT_ONCE % 60)
        due += store(redis, f"{second} * * * * *", share, now_ms=server_ms(redis) + 2_000, instance_ids=INSTANCES)
    began = time.perf_counter()
    beat = start(system, "beat-many")
    ready_ms = 1000 * (time.perf_counter() - began)
    eventually(lambda: all_fired(redis, due), SPREAD_SECONDS + 60, every_seconds=1)
    rss_many = beat.rss_bytes
    beat.stop()
    late_ms = sorted(late for one in lateness_ms(redis, due).values() for late in one)
    mib = 1024 * 1024
    return [
        Figure("100,000 stored, 1,000 due a minute: late p50", "ms", quantile(late_ms, 0.5)),
        Figure("100,000 stored, 1,000 due a minute: late p99", "ms", quantile(late_ms, 0.99), goal=at_most(200)),
        Figure("start with 100,000 stored, until ready", "ms", ready_ms),
        Figure(
            "beat's memory with 100,000 stored (floor: with 10)",
            "MiB",
            rss_many / mib,
            rss_few / mib,
            goal=times_floor(1.25),
        ),
    ]


def floor(redis: Redis, server: RedisServer, count: int) -> tuple[float, float]:
    """CPU per due time, ours and Redis', of popping it from a zset and pushing one message."""
    for first in range(0, count, 1_000):
        scores = [part for number in range(first, min(count, first + 1_000)) for part in (number, f"{number}")]
        redis.call("ZADD", "floor:due", *scores)
    before, redis_before = time.process_time(), server.program.cpu_seconds
    for first in range(0, count, PIPELINE_COUNT):
        pops = [("ZPOPMIN", "floor:due")] * PIPELINE_COUNT
        pushes = [("LPUSH", f"floor:{number % 1_000}", MESSAGE) for number in range(first, first + PIPELINE_COUNT)]
        redis.pipeline_or_raise([part for pair in zip(pops, pushes, strict=True) for part in pair])
    spent = time.process_time() - before, server.program.cpu_seconds - redis_before
    return 1e6 * spent[0] / count, 1e6 * spent[1] / count


def start(system: System, name: str) -> Program:
    """Start a beat that does nothing else: nobody looks for overdue executions meanwhile."""
    return system.start_beat(name, environment={"CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "3600"})


def wait_for_bursts(redis: Redis, invoke_ids: Sequence[str], count: int) -> None:
    def enough() -> bool:
        replies = redis.pipeline_or_raise([("ZCARD", keys.firings(one)) for one in invoke_ids])
        return bool(min(replies) >= count)

    eventually(enough, 60, every_seconds=0.5)


def all_fired(redis: Redis, invoke_ids: Sequence[str]) -> bool:
    return all(redis.pipeline_or_raise([("EXISTS", keys.firings(one)) for one in invoke_ids]))


def lateness_ms(redis: Redis, invoke_ids: Sequence[str]) -> dict[int, list[float]]:
    """How late each firing was decided, ascending, by due time, the earliest first."""
    found = redis.pipeline_or_raise([("ZRANGE", keys.firings(one), 0, -1) for one in invoke_ids])
    wanted = [keys.firing(one, int(due)) for one, dues in zip(invoke_ids, found, strict=True) for due in dues]
    rows = redis.pipeline_or_raise([("HMGET", one, "decided_ms", "due_ms", "status") for one in wanted])
    assert all(status == b"fired" for _, _, status in rows)
    late: dict[int, list[float]] = {}
    for decided, due, _ in sorted(rows, key=lambda row: int(row[1])):
        late.setdefault(int(due), []).append(float(decided) - float(due))
    return {due_ms: sorted(one) for due_ms, one in late.items()}


def cpu_of(beat: Program, server: RedisServer) -> tuple[float, float]:
    return beat.cpu_seconds, server.program.cpu_seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        print(as_table(figures(Scale(), Path(name))))
