"""How much memory other processes have had."""

from pathlib import Path


def most_resident_bytes(pid: int) -> int:
    """The greatest resident memory of a process so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
