"""What a rig's processes use now: memory, files, threads, processes, keys, disk."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import redis
from faults.rig import Rig

from harness import proc
from harness.processes import Program

#: What reading /proc raises when a process ends meanwhile.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def usage(rig: Rig) -> Mapping[str, float]:
    """One sample. Of agents and beats the largest counts, since faults replace them while the run goes on."""
    found: dict[str, float] = {}
    for role, programs in (
        ("largest agent", [rig.agent(one) for one in rig.instance_ids]),
        ("largest beat", rig.beats),
        ("server", [rig.server.program]),
    ):
        for what, values in _of_programs(programs).items():
            if values:
                found[f"{role}, {what}"] = max(values)
    found["all agents, processes"] = sum(_tree_count(rig.agent(one)) for one in rig.instance_ids)
    found["largest home, disk"] = max(_disk_bytes(rig.system.folder / one) for one in rig.instance_ids)
    try:
        found["server's data, memory"] = float(rig.server.cli("INFO", "memory")["used_memory"])
        found["server's keys"] = float(rig.server.cli("DBSIZE"))
    except redis.RedisError:
        pass  # it is away or hangs: this sample has no such value
    return found


def _of_programs(programs: list[Program]) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = {"memory": [], "files": [], "threads": []}
    for program in programs:
        if not program.is_running:
            continue
        try:
            values = (program.rss_bytes, program.fd_count, program.thread_count)
        except _GONE:
            continue
        for what, value in zip(found, values, strict=True):
            found[what].append(value)
    return found


def _tree_count(program: Program) -> int:
    return len(proc.descendants_of(program.pid)) if program.is_running else 0


def _disk_bytes(home: Path) -> int:
    return sum(_sizes(home))


def _sizes(home: Path) -> Iterator[int]:
    # Folders vanish while we look, which os.walk takes for empty.
    for folder, _, names in os.walk(home):
        for name in names:
            # The log is the test's own: it takes the program's output as it comes.
            if name.endswith(".log"):
                continue
            try:
                yield (Path(folder) / name).stat().st_size
            except _GONE:
                continue
