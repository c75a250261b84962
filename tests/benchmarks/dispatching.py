"""Rows and messages for a fleet, beside a bare pipeline of the same bytes; and whether memory stays flat.

Each invocation is made by a process of its own (``dispatching.py URL KEY_FILE COUNT``), so that the greatest memory of
that process belongs to it alone.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.figures import Figure, Scale, at_most, of_runs, times_floor  # noqa: E402
from benchmarks.rig import Rig  # noqa: E402

from cloud_assistant.broker_config import keys  # noqa: E402
from cloud_assistant.broker_config.clock import now_ms  # noqa: E402
from cloud_assistant.broker_config.redis.client import Redis  # noqa: E402
from cloud_assistant.broker_config.settings_table import SecuritySettings, Settings  # noqa: E402
from cloud_assistant.producer.api import Assistant  # noqa: E402
from cloud_assistant.producer.fleet.targets import Targets  # noqa: E402

CHUNK_COUNT = 400


class Dispatched(NamedTuple):
    """What one invocation cost the process that made it."""

    invoke_id: str
    seconds: float
    cpu_seconds: float
    grown_bytes: int


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """10,000 targets beside the floor, then 100,000."""
    count, most_count = scale.of(10_000, 800), scale.of(100_000, 1_600)
    with Rig(folder) as rig:
        redis = rig.assistant.redis
        for first in range(0, most_count, CHUNK_COUNT):
            redis.pipeline_or_raise(
                [("ZADD", keys.INSTANCES, now_ms(), one) for one in fleet(most_count)[first : first + CHUNK_COUNT]]
            )
        ours, base = [], []
        for _ in range(scale.run_count):
            ours.append(_dispatched(rig, count))
            base.append(_raw(redis, ours[-1].invoke_id, count))
        large = _dispatched(rig, most_count)
        large_base = _raw(redis, large.invoke_id, most_count)
    times = [one.seconds for one in ours]
    grown = [one.grown_bytes / 1e6 for one in ours]
    return [
        of_runs(f"dispatch to {count:,} targets", "s", times, base, goal=times_floor(2)),
        of_runs(
            f"dispatch to {count:,}, our CPU per target",
            "µs",
            [one.cpu_seconds / count * 1e6 for one in ours],
            goal=at_most(300),
        ),
        of_runs(f"dispatch to {count:,}, memory of the producer grows by", "MB", grown),
        Figure(f"dispatch to {most_count:,} targets", "s", large.seconds, large_base, goal=times_floor(2)),
        Figure(
            f"dispatch to {most_count:,}, our CPU per target (floor: {count:,})",
            "µs",
            large.cpu_seconds / most_count * 1e6,
            median(one.cpu_seconds for one in ours) / count * 1e6,
            goal=times_floor(1.25),
        ),
        Figure(
            f"dispatch to {most_count:,}, memory of the producer grows by",
            "MB",
            large.grown_bytes / 1e6,
            # The ids of the targets themselves, in and out of the request, are 20 MB of it.
            goal=at_most(60),
        ),
    ]


def fleet(count: int) -> list[str]:
    """Instances that are registered and have no agent."""
    return [f"i-fleet-{number}" for number in range(count)]


def _dispatched(rig: Rig, count: int) -> Dispatched:
    key_file = rig.assistant.settings.security.master_key_file
    done = subprocess.run(
        [sys.executable, __file__, rig.server.url(), key_file, str(count)], capture_output=True, check=True, timeout=300
    )
    return Dispatched(*json.loads(done.stdout))


def _raw(redis: Redis, invoke_id: str, count: int) -> float:
    """Seconds to push the same message and to write the same row, for as many targets, in bare pipelines."""
    instance_id = fleet(1)[0]
    row = redis.call("HGETALL", keys.execution(instance_id, f"{invoke_id}.0@{instance_id}"))
    message = redis.call("LINDEX", keys.queue(instance_id), 0)
    began = time.perf_counter()
    for first in range(0, count, CHUNK_COUNT):
        commands = []
        for number in range(first, first + CHUNK_COUNT):
            commands += [("LPUSH", f"floor:q:{number}", message), ("HSET", f"floor:h:{number}", *row)]
        redis.pipeline_or_raise(commands)
    return time.perf_counter() - began


def dispatch(url: str, key_file: str, count: int) -> Dispatched:
    """Make one invocation, warmed up by a small one, and say what it cost."""
    assistant = Assistant(settings=Settings(redis_url=url, security=SecuritySettings(master_key_file=key_file)))
    assistant.run_command("echo 123", Targets(instance_ids=fleet(CHUNK_COUNT)))
    targets = Targets(instance_ids=fleet(count))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    invoked = assistant.run_command("echo 123", targets)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Dispatched(invoked.invoke_id, took, spent, grown_kib * 1024)


if __name__ == "__main__":
    print(json.dumps(dispatch(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
