"""How a long run ends: what is wrong is told, and what could explain it is kept."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from faults.checker import Violation

_SHOWN_COUNT = 40


def ending(folder: Path, violations: Sequence[Violation], complaints: Sequence[str]) -> int:
    """Print violations and whatever else speaks against the run; answer the exit code.

    Logs and traces stay where something is wrong, else their folder is removed.
    """
    for one in violations[:_SHOWN_COUNT]:
        print(f"VIOLATED: {one.line}: {one.what}")
    for complaint in complaints[:_SHOWN_COUNT]:
        print(complaint)
    if violations or complaints:
        print(f"logs and traces are kept in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0
