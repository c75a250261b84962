"""A wall clock that a test can step while a program runs.

Linux's time namespaces leave CLOCK_REALTIME alone, so the C library's clock calls are intercepted instead
(libfaketime, preloaded). Only the wall clock is moved; the monotonic clock stays true, as in a real step.
Programs that are started with an environment of their own, such as the scripts an agent runs, see the real time.
"""

import importlib.util
import platform
from pathlib import Path

from harness.needs import skip_without


class SteppedClock:
    """The wall clock of the programs that are started with ``environment``; real time until ``step``."""

    def __init__(self, folder: Path) -> None:
        self._library = _library()
        self._file = folder / "clock-offset"
        self.offset_seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        """What to add to a program's environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: float) -> None:
        """Move the clock by this much from now on; negative is backwards."""
        self.offset_seconds += seconds
        # Replaced in one move: a program reads this file at any moment.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset_seconds:+.3f}\n", encoding="utf-8")
        fresh.replace(self._file)


def _library() -> Path:
    """The library to preload: the wheel's on x86-64 Linux, else a distribution's."""
    found = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    spec = importlib.util.find_spec("libfaketime")
    if spec is not None and spec.origin and (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        found += Path(spec.origin).parent.glob("vendor/libfaketime/src/libfaketime.so.1")
    if not found:
        skip_without("libfaketime", "Install your distribution's package of that name.")
    return found[0]
