"""What an agent holds of a script that is ready and not started: the word to start it, or to forget it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from .running_script import RunningScript


class Held(ABC):
    """A script that waits for our word; leaving it as a context manager cancels what was not started."""

    @abstractmethod
    def start(self) -> RunningScript:
        """Start the script, once.

        Raises:
            NotStarted: it does not run and never will.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Have all undone that was made ready. Safe to call twice, and after the start."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
