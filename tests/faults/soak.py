"""A long, quiet run that watches what every process uses: ``tests/run soak --minutes 10``.

No faults: a steady load, and a history of a minute and a half, so that after a while as much is removed as is added.
Each execution is checked as it grows old, and its traces are removed. Exits 1 when something is violated, or grows.
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.checker import Violation  # the folder of the tests must be on the path first
from faults.effort import Effort, failures_of
from faults.ending import ending
from faults.rig import Rig
from faults.usage import usage
from faults.watch import Watch
from faults.workload import OFFLINE, Workload

from cloud_assistant.broker_config.clock import monotonic_seconds

_HISTORY_SECONDS = 90.0
#: Executions are checked, and forgotten, in batches of what was asked for before the last look.
_LOOK_SECONDS = 20.0
_SETTLE_SECONDS = 30.0
_SETTINGS = {
    "CLOUD_ASSISTANT_LIMITS_HISTORY_DAYS": str(_HISTORY_SECONDS / 86_400),
    "CLOUD_ASSISTANT_BEAT_RETENTION_SECONDS": "2",
}


def main() -> int:
    """Run, print what each series did, and say by the exit code whether anything grows."""
    asked = _arguments()
    instance_ids = [f"i-soak{number}" for number in range(1, asked.agents + 1)]
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"soak: {asked.minutes:g} minutes, {asked.agents} agents, in {folder}", file=sys.stderr)
    with Rig(folder, instance_ids, beat_count=1, settings=_SETTINGS) as rig:
        rig.scene.register(*instance_ids, OFFLINE)
        workload = Workload(rig.scene, instance_ids, seed=asked.seed, per_second=asked.rate)
        watch = Watch(lambda: usage(rig))
        watch.start()
        checked_count, violations, ended_early = _run(rig, workload, asked.minutes * 60)
        watch.stop()
    growths = watch.growths()
    print(f"{asked.minutes:g} minutes, {asked.agents} agents, {checked_count:,} executions checked;")
    print("medians of the middle and of the end:")
    for one in growths:
        print(f"  {one}")
    grown = [f"GROWS: {one.name}" for one in growths if one.is_too_much]
    complaints = grown if growths else ["too short a run to say whether anything grows"]
    return ending(folder, violations, [*complaints, *ended_early, *watch.failures()])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/run soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long; below five, little can be said")
    parser.add_argument("--seed", type=int, default=1, help="draws the requests")
    parser.add_argument("--agents", type=int, default=2, help="agents")
    parser.add_argument("--rate", type=float, default=15, help="requests per second")
    return parser.parse_args()


def _run(rig: Rig, workload: Workload, seconds: float) -> tuple[int, list[Violation], list[str]]:
    threads = [Effort("asking", workload.ask), Effort("stopping", workload.stop)]
    for thread in threads:
        thread.start()
    violations: list[Violation] = []
    checked_count = 0
    ends_at = monotonic_seconds() + seconds
    older: set[str] = set()
    while monotonic_seconds() < ends_at:
        threading.Event().wait(_LOOK_SECONDS)
        checked_count += len(older)
        violations += rig.scene.check_and_forget(older)
        older = set(rig.scene.requests)
    workload.end()
    for thread in threads:
        thread.join()
    rig.scene.settle(_SETTLE_SECONDS)
    return checked_count + len(rig.scene.requests), violations, failures_of(threads)


if __name__ == "__main__":
    sys.exit(main())
