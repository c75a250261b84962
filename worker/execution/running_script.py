"""What an agent holds of a script that runs: its events, a way to stop it, and a descriptor to wait on."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from .events import Ended, Event


class ScriptOutOfReach(Exception):
    """For want of descriptors, or of a disk that can be read, nobody can hear how a script ends; later somebody can."""


class RunningScript(ABC):
    """One execution under its supervisor.

    ``stop`` may be called from any thread; the events belong to one thread at a time.
    """

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self._is_over = False

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Yield what happens, `Ended` last.

        Ends early, to be called again, when nothing happened for ``timeout`` seconds; 0 yields only what is there.

        Raises:
            ScriptOutOfReach: this agent cannot hear it now; closed, and to be adopted later.
        """
        while not self._is_over:
            event = self._heard(timeout)
            if event is None:
                return
            if isinstance(event, Ended):
                self._is_over = True
            yield event

    def _heard(self, timeout: float | None) -> Event | None:
        """Return the next event; whoever holds the script takes us for gone when it could not be heard."""
        try:
            return self._next_event(timeout)
        except OSError as exc:
            self.close()
            raise ScriptOutOfReach(exc.strerror or str(exc)) from exc

    def settle(self, *, clears: bool) -> bool:
        """Say that the result is safe elsewhere, after ``Ended``; tell whether the folder is cleared away for us.

        With ``clears`` nothing in the folder is needed any more, else it is left to us. Until then whoever holds the
        script makes sure that its result survives this process.
        """
        self.close()
        return False

    @abstractmethod
    def stop(self) -> None:
        """Ask the supervisor to end the script; the outcome is an event. Nothing happens when it ended already."""

    @abstractmethod
    def fileno(self) -> int:
        """Return a descriptor that is readable when ``events(0)`` may have something; see the class."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the script, which goes on, or is kept, as if this agent had died; safe to call twice."""

    @abstractmethod
    def _next_event(self, timeout: float | None) -> Event | None:
        """Return the next event, or None when none came in time.

        Raises:
            OSError: there is one, which cannot be read now.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
