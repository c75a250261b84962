"""What the processes of a run use, sampled as it goes, and whether any of it grows."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from faults.effort import Effort, failures_of

_MIB = 1 << 20
#: A series with fewer samples says nothing about growth.
_LEAST_COUNT = 10
#: Share of the run in which everything may still grow: interpreters fill their caches and pools.
_WARM_SHARE = 0.4
_WINDOW_SHARE = 0.2


@dataclass(frozen=True)
class Bound:
    """How much more of one thing the end of a run may have than its middle: the larger of the two."""

    share: float
    least: float


#: By the last word of a series' name.
BOUNDS: Mapping[str, Bound] = {
    "memory": Bound(share=0.08, least=3 * _MIB),
    "files": Bound(share=0.15, least=4),
    "threads": Bound(share=0.15, least=2),
    "processes": Bound(share=0.3, least=4),
    "keys": Bound(share=0.1, least=50),
    "disk": Bound(share=0.2, least=1 * _MIB),
}


@dataclass(frozen=True)
class Growth:
    """What one series did: the medians of its middle and of its end."""

    name: str
    middle: float
    end: float
    is_too_much: bool

    def __str__(self) -> str:
        unit = _MIB if self.name.endswith(("memory", "disk")) else 1
        shown = f"{self.middle / unit:,.1f} → {self.end / unit:,.1f}{' MiB' if unit > 1 else ''}"
        return f"{self.name}: {shown}{', GROWS' if self.is_too_much else ''}"


def growth(name: str, values: Sequence[float]) -> Growth | None:
    """Compare the end of a series with its middle, when it is long enough."""
    if len(values) < _LEAST_COUNT:
        return None
    window = max(1, int(len(values) * _WINDOW_SHARE))
    first = int(len(values) * _WARM_SHARE)
    middle, end = median(values[first : first + window]), median(values[-window:])
    bound = BOUNDS[name.rsplit(" ", 1)[-1]]
    return Growth(name, middle, end, end - middle > max(bound.least, bound.share * middle))


@dataclass
class Watch:
    """Takes samples in a thread of its own until told to end."""

    sample: Callable[[], Mapping[str, float]]
    every_seconds: float = 2.0
    series: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: Effort | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = Effort("watching", self._run)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def failures(self) -> list[str]:
        """Why it took no more samples; nothing that grows was seen after that."""
        return failures_of([self._thread] if self._thread else [])

    def growths(self) -> list[Growth]:
        """What each series did."""
        found = (growth(name, values) for name, values in sorted(self.series.items()))
        return [one for one in found if one is not None]

    def _run(self) -> None:
        while not self._ending.wait(self.every_seconds):
            for name, value in self.sample().items():
                self.series[name].append(value)
