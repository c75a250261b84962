"""A thread of a long run that says so when it ends with an error: a load that died in silence breaks no promise."""

import threading
import traceback
from collections.abc import Callable, Iterable


class Effort(threading.Thread):
    """Does one thing until that returns."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        super().__init__(name=name)
        self._do = do
        #: What it ended with, where that was no return.
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do it."""
        try:
            self._do()
        except BaseException as exc:  # noqa: BLE001  # outermost: of this thread; the run fails because of it
            traceback.print_exc()
            self.error = exc


def failures_of(efforts: Iterable[Effort]) -> list[str]:
    """What ended with an error, for the end of the run."""
    return [f"ENDED EARLY: {one.name}: {one.error!r}" for one in efforts if one.error is not None]
