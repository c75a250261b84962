"""A script that prints a gigabyte: its speed, what it costs in memory, and whether the live view still moves."""

import subprocess
import threading
import time
from pathlib import Path

from benchmarks.figures import Figure, Scale, at_most, of_runs, times_floor
from benchmarks.memory import most_resident_bytes
from benchmarks.rig import Rig

from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.following.waiting import Output

INSTANCE = "i-bench"


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """The same script under the agent and with its output in a file."""
    size_bytes = scale.of(1_000_000_000, 5_000_000)
    script = f"yes '{'0123456789' * 10}' | head -c {size_bytes}"
    with Rig(folder) as rig:
        agent = rig.start_agent(INSTANCE)
        _run(rig, "true", 4)
        family = [agent.pid, *(one.pid for one in agent.tree()), rig.server.program.pid]
        before = {pid: most_resident_bytes(pid) for pid in family}
        runs = []
        for _ in range(scale.run_count):
            gaps: list[float] = []
            took = _run(rig, script, size_bytes, gaps)
            runs.append((took, _to_file(script, folder), max(gaps, default=0.0)))
        grown = max(most_resident_bytes(pid) - before[pid] for pid in family)
    size = f"{size_bytes / 1e9:g} GB"
    return [
        of_runs(
            f"a script that prints {size} (floor: into a file)",
            "s",
            [took for took, _, _ in runs],
            [base for _, base, _ in runs],
            goal=times_floor(2),
        ),
        Figure(f"{size} of output: the most that any process grows", "MB", grown / 1e6, goal=at_most(16)),
        of_runs(
            f"{size} of output: longest silence of the live view",
            "ms",
            [1e3 * gap for _, _, gap in runs],
            goal=at_most(500),
        ),
    ]


def _run(rig: Rig, script: str, size_bytes: int, gaps: list[float] | None = None) -> float:
    """Seconds from the request to the result; the pauses between pieces of live output are put into ``gaps``."""
    began = time.perf_counter()
    invoke_id = rig.assistant.run_command(script, Targets(instance_ids=[INSTANCE])).invoke_id
    watcher = threading.Thread(target=_watch, args=(rig, invoke_id, gaps)) if gaps is not None else None
    if watcher:
        watcher.start()
    [row] = rig.assistant.wait(invoke_id, timeout_seconds=60).results
    took = time.perf_counter() - began
    if watcher:
        watcher.join(20)
        kept = row.outcome.output
        assert len(kept.data) + kept.dropped_bytes == size_bytes, kept.dropped_bytes
    return took


def _watch(rig: Rig, invoke_id: str, gaps: list[float]) -> None:
    last = time.perf_counter()
    for event in rig.assistant.follow(invoke_id, timeout_seconds=60):
        now = time.perf_counter()
        if isinstance(event, Output):
            gaps.append(now - last)
            last = now


def _to_file(script: str, folder: Path) -> float:
    path = folder / "output"
    began = time.perf_counter()
    with path.open("wb") as file:
        subprocess.run(["/bin/sh", "-c", script], stdout=file, check=True)
    took = time.perf_counter() - began
    path.unlink()
    return took
