"""Watch what the agent itself uses, apart from its scripts, and say what to do about it.

Past its memory limit the agent ends and is started again, which costs nothing: scripts go on under their supervisors.
Past its share of a processor it steps back behind everything else on the machine.
"""

import os
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from ..broker_config.clock import monotonic_seconds
from ..broker_config.programs.program_log import logger

#: Beats in a row that must be over a limit: a burst is no leak.
_MEMORY_BEATS = 3
_PROCESSOR_BEATS = 6
_STEPPED_BACK_NICENESS = 10

_log = logger("self")


class Usage(NamedTuple):
    """What the agent's process has used."""

    memory_bytes: int
    processor_seconds: float


class Advice(Enum):
    """What to do."""

    NOTHING = auto()
    STEP_BACK = auto()
    RESTART = auto()


class SelfWatch:
    """Looks at each beat; one thread uses it."""

    def __init__(
        self,
        *,
        memory_limit_bytes: int,
        cpu_limit_percent: int,
        measure: Callable[[], Usage] | None = None,
        clock: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._cpu_limit_percent = cpu_limit_percent
        self._measure = measure or own_usage
        self._clock = clock
        self._last = self._measure()
        self._last_seconds = clock()
        self._memory_count = self._processor_count = 0
        self._has_stepped_back = False
        self.cpu_percent = 0.0

    @property
    def memory_bytes(self) -> int:
        """What the last look saw."""
        return self._last.memory_bytes

    def look(self) -> Advice:
        """Measure, and advise."""
        used, now_seconds = self._measure(), self._clock()
        passed_seconds = max(0.001, now_seconds - self._last_seconds)
        self.cpu_percent = 100 * (used.processor_seconds - self._last.processor_seconds) / passed_seconds
        self._last, self._last_seconds = used, now_seconds
        is_large = 0 < self._memory_limit_bytes < used.memory_bytes
        is_busy = 0 < self._cpu_limit_percent < self.cpu_percent
        self._memory_count = self._memory_count + 1 if is_large else 0
        self._processor_count = self._processor_count + 1 if is_busy else 0
        if self._memory_count >= _MEMORY_BEATS:
            return Advice.RESTART
        if self._processor_count >= _PROCESSOR_BEATS and not self._has_stepped_back:
            self._has_stepped_back = True
            return Advice.STEP_BACK
        return Advice.NOTHING


def own_usage() -> Usage:
    """Measure this process; memory is 0 where the system does not say."""
    spent = os.times()
    try:
        memory_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        memory_bytes = 0
    return Usage(memory_bytes, spent.user + spent.system)


def step_back() -> None:
    """Give every thread of this process a low priority; the fork server, and so the scripts, keep theirs."""
    try:
        threads = [int(name) for name in os.listdir("/proc/self/task")]  # noqa: PTH208 - names are all that is needed
    except OSError:
        threads = [0]
    for thread_id in threads:
        try:
            os.setpriority(os.PRIO_PROCESS, thread_id, _STEPPED_BACK_NICENESS)
        except (OSError, AttributeError) as exc:
            _log.warning("cannot step back: %s", exc)
            return
