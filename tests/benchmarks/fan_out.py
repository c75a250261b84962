"""One command to many real agents, each a process of its own as deployed, all sharing this machine."""

import time
from pathlib import Path

from benchmarks import floor
from benchmarks.figures import Figure, Scale, at_most, of_runs
from benchmarks.rig import Rig

from cloud_assistant.producer.fleet.targets import Targets

SCRIPT = "echo 123"


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """Seconds until every result is in hand, and our own CPU for it."""
    count = scale.of(100, 2)
    with Rig(folder) as rig:
        instance_ids = [f"i-bench{number:03d}" for number in range(count)]
        for instance_id in instance_ids:
            # One after the other: a hundred interpreters that start at once would fight for two cores.
            rig.start_agent(instance_id)
        names = [f"f{number:03d}" for number in range(count)]
        rig.start_floor(names)
        runs = []
        for _ in range(scale.of(11, 2)):
            began, cpu = time.perf_counter(), time.process_time()
            invoked = rig.assistant.run_command(SCRIPT, Targets(instance_ids=instance_ids))
            results = rig.assistant.wait(invoked.invoke_id, timeout_seconds=60).results
            took, spent = time.perf_counter() - began, time.process_time() - cpu
            assert [row.outcome.output.data for row in results] == [b"123\n"] * count
            runs.append((took, spent, floor.fan_out(rig.assistant.redis, names, SCRIPT)))
    warm = runs[1:]
    return [
        of_runs(
            f"`echo 123` on {count} real agents",
            "s",
            [took for took, _, _ in warm],
            [base for _, _, base in warm],
            goal=at_most(0.25, then=0.12),
        ),
        of_runs(
            f"control side CPU per target, {count} targets",
            "ms",
            [1e3 * spent / count for _, spent, _ in warm],
            goal=at_most(0.3),
        ),
    ]
