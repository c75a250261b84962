"""Tell one process from a later one that got the same pid."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def identity_of(pid: int) -> str:
    """When the process with this pid started, in the system's own words; ``""`` when there is none (or a zombie)."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
        # The name in brackets may itself hold brackets and blanks, so the fields are counted from its end.
        fields = stat[stat.rindex(")") + 2 :].split()
        return "" if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    return shown.stdout.strip()


def send(pid: int, number: signal.Signals, *, group: bool = False) -> bool:
    """Send a signal to a process, or to the group that it leads; False when nobody was there to get it."""
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        # macOS says EPERM for a group of which only a zombie is left.
        return False
    return True
