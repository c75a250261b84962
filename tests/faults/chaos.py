"""A long run of faults over a steady load: ``tests/run chaos --minutes 10 --seed 1``.

Prints a table of faults, of what was asked for, and of every line of the checker. Exits 1 when a line was violated.
The same seed draws the same faults and the same requests; what the machine does in between is its own.
"""

import argparse
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import timed_load
from faults.checker import Violation, check, counts  # the folder of the tests must be on the path first
from faults.effort import Effort, failures_of
from faults.ending import ending
from faults.injector import Injector
from faults.plan import Fault, PlannedFault, plan
from faults.rig import Rig
from faults.scene import REDIS_TROUBLE
from faults.usage import usage
from faults.watch import Watch
from faults.workload import OFFLINE, Workload

from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.states import is_final

#: After the last fault everything must be settled within this.
_RECOVERY_SECONDS = 120.0
#: Timed invocations, each on every instance.
_PERIODS_SECONDS = (10, 10, 15, 20, 30)
#: Of those that run on a few at a time.
_AT_ONCE_COUNTS = (1, 2)
_PACED_SECONDS = 12
_FEW_AGENTS = 10
#: What must not grow although faults come and go. The ledger keeps all of the run, so the server's data grow; files and
#: processes follow the work at hand, which piles up behind each fault (`soak` is strict about them).
_FLAT = ("largest agent, memory", "largest beat, memory", "largest home, disk")
_LOOKING = ("CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS", "CLOUD_ASSISTANT_AGENT_RECONCILE_SECONDS")


def main() -> int:
    """Run, print the table, and say by the exit code whether every promise held."""
    asked = _arguments()
    instance_ids = [f"i-chaos{number}" for number in range(1, asked.agents + 1)]
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    kind = "watched agents" if asked.without_supervisors else "agents"
    print(f"chaos: seed {asked.seed}, {asked.agents} {kind}, in {folder}", file=sys.stderr)
    with Rig(
        folder,
        instance_ids,
        beat_count=asked.beats,
        settings=_settings(asked.agents),
        has_supervisors=not asked.without_supervisors,
    ) as rig:
        rig.scene.register(*instance_ids, OFFLINE)
        workload = Workload(rig.scene, instance_ids, seed=asked.seed, per_second=asked.rate)
        injector = Injector(rig)
        timed_load.begin(rig.scene, instance_ids, _PERIODS_SECONDS, master_file=rig.master_file)
        for at_once_count in _AT_ONCE_COUNTS:
            timed_load.begin(
                rig.scene, instance_ids, (_PACED_SECONDS,), at_once_count=at_once_count, master_file=rig.master_file
            )
        seconds = _seconds(asked)
        lanes = plan(asked.seed, seconds, instance_ids, has_supervisors=rig.has_supervisors)
        watch = Watch(lambda: usage(rig))
        watch.start()
        ended_early = _run(seconds, asked.executions, workload, injector, lanes)
        rig.heal()
        watch.stop()
        timed_load.end(rig.scene, master_file=rig.master_file)
        took_seconds = _recover(rig)
        violations = rig.scene.violations()
        print(f"seed {asked.seed}, {seconds / 60:.0f} minutes, {asked.agents} {kind}, {asked.beats} beats:")
        print(f"{len(rig.scene.requests):,} requests, {workload.refused_count:,} of them not confirmed by Redis;")
        print(f"{injector.counts.total():,} faults; all settled {took_seconds:.0f} s after the last one")
        growths = [one for one in watch.growths() if one.name in _FLAT]
        print("; ".join(map(str, watch.growths())))
        print(_table(rig, workload, injector, violations))
    failed = [f"FAULT FAILED: {one}" for one in injector.failures]
    return ending(
        folder,
        violations,
        [*ended_early, *watch.failures(), *failed, *(f"GROWS: {one}" for one in growths if one.is_too_much)],
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/run chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1, help="draws faults and requests; a failing seed replays")
    parser.add_argument("--agents", type=int, default=4, help="agents, each behind a line of its own")
    parser.add_argument("--beats", type=int, default=2, help="beats: they sweep what is overdue")
    parser.add_argument("--rate", type=float, default=11, help="requests per second")
    parser.add_argument("--executions", type=int, default=0, help="end after so many requests instead of --minutes")
    parser.add_argument(
        "--without-supervisors",
        action="store_true",
        help="agents as on macOS, FreeBSD and Linux before 5.3, which watch scripts themselves: those end with them",
    )
    return parser.parse_args()


def _settings(agent_count: int) -> dict[str, str]:
    """Many agents on few cores look at the ledger less often, so that the load is work and not looking."""
    return {} if agent_count <= _FEW_AGENTS else dict.fromkeys(_LOOKING, "5")


def _seconds(asked: argparse.Namespace) -> float:
    """How long faults are planned for; requests that are refused while Redis is away count too."""
    seconds: float = asked.executions / asked.rate * 1.5 if asked.executions else asked.minutes * 60
    return seconds


def _run(
    seconds: float,
    executions: int,
    workload: Workload,
    injector: Injector,
    lanes: Sequence[Sequence[PlannedFault]],
) -> list[str]:
    """Ask and break things for some time; answer what ended with an error of its own, for then too little was tried."""
    threads = [
        Effort("asking", workload.ask),
        Effort("stopping", workload.stop),
        *(Effort("injecting", partial(injector.run, lane)) for lane in lanes),
    ]
    for thread in threads:
        thread.start()
    ends_at = monotonic_seconds() + seconds
    while monotonic_seconds() < ends_at and not (executions and workload.asked_count >= executions):
        threading.Event().wait(min(1.0, max(0.01, ends_at - monotonic_seconds())))
    injector.end()
    for thread in threads[2:]:
        thread.join()
    workload.end()
    for thread in threads[:2]:
        thread.join()
    return failures_of(threads)


def _recover(rig: Rig) -> float:
    """Wait until every row is final and nothing is left; return how long that took."""
    began = monotonic_seconds()
    while monotonic_seconds() - began < _RECOVERY_SECONDS:
        try:
            evidence = rig.scene.evidence()
            is_settled = all(is_final(row.state) for row in evidence.rows.values())
            if is_settled and not check(evidence):
                break
        except REDIS_TROUBLE as exc:
            print(f"Redis does not answer yet: {exc}", file=sys.stderr)
        threading.Event().wait(1.0)
    return monotonic_seconds() - began


def _table(rig: Rig, workload: Workload, injector: Injector, violations: list[Violation]) -> str:
    evidence = rig.scene.evidence()
    rows = evidence.rows.values()
    firings = Counter(f"{one.status} {one.reason}".strip() for found in evidence.firings.values() for one in found)
    ends = Counter(f"{row.state} {row.outcome.error_code}".strip() for row in rows)
    parts = [
        ("fault", [(fault.value, injector.counts[fault]) for fault in Fault]),
        ("asked for", [*sorted(workload.counts.items()), ("timed", len(evidence.requests) - len(rig.scene.requests))]),
        ("ended as", sorted(ends.items())),
        ("due times became", sorted(firings.items())),
        ("line of the checker: violations", [(line.value, count) for line, count in counts(violations).items()]),
    ]
    lines = []
    for title, entries in parts:
        lines += ["", f"| {title} | count |", "| --- | --: |"]
        lines += [f"| {name} | {count:,} |" for name, count in entries]
        lines += [f"| **all** | {sum(count for _, count in entries):,} |"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
