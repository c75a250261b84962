"""The command line as whole processes, beside a bare interpreter."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, Scale, at_most, interleaved, of_runs
from benchmarks.rig import Rig

from harness.processes import clean_environment, installed_program

INSTANCE = "i-bench"


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """``assist --help`` and ``assist run``."""
    with Rig(folder) as rig:
        rig.start_agent(INSTANCE)
        environment = clean_environment(
            folder, {**rig.system.environment, "CLOUD_ASSISTANT_REDIS_URL": rig.server.url()}
        )

        def assist(*arguments: str) -> Callable[[], float]:
            return _whole_process([str(installed_program("assist")), *arguments], environment)

        bare = _whole_process([sys.executable, "-I", "-c", "pass"], environment)
        run = assist("run", "echo 123", "--instance", INSTANCE)
        return [
            *_figures("assist --help", assist("--help"), bare, scale, most_ms=60),
            *_figures("assist run 'echo 123' --instance x", run, bare, scale, most_ms=150),
        ]


def _figures(
    name: str, ours: Callable[[], float], bare: Callable[[], float], scale: Scale, *, most_ms: float
) -> list[Figure]:
    runs, spent = [], []
    for _ in range(scale.run_count):
        cpu = os.times()
        for _ in range(scale.of(10, 1)):
            ours()
        after = os.times()
        spent.append((after.children_user + after.children_system - cpu.children_user - cpu.children_system) * 1e3)
        runs.append(interleaved(ours, bare, scale.of(30, 2)))
    medians = [median(run[0]) * 1e3 for run in runs]
    base = [median(run[1]) * 1e3 for run in runs]
    return [
        of_runs(f"`{name}`, whole process, p50", "ms", medians, base, goal=at_most(most_ms)),
        of_runs(f"`{name}`, CPU", "ms", [one / scale.of(10, 1) for one in spent]),
    ]


def _whole_process(argv: list[str], environment: dict[str, str]) -> Callable[[], float]:
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run(argv, env=environment, check=True, capture_output=True)
        return time.perf_counter() - began

    return seconds
