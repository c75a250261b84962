"""What an agent asks of whoever runs its scripts, on every system."""

from pathlib import Path
from typing import Protocol

from .plan import Plan
from .running_script import RunningScript


class Launching(Protocol):
    """Starts scripts, and finds those of an earlier agent again. Thread-safe."""

    def start(self) -> None:
        """Get ready; before anything else.

        Raises:
            OSError: this system cannot run scripts.
        """

    def launch(self, plan: Plan) -> RunningScript:
        """Start the plan's script. Its descriptors are closed, also when this fails.

        Raises:
            NotStarted: it does not run and never will.
            ScriptOutOfReach: it may run, or have run, and is to be adopted later.
        """

    def adopt(self, folder: Path) -> RunningScript | None:
        """Return the execution that an earlier agent started in this folder, finished or not; None where none was."""

    def find_unclaimed(self, execution_id: str, folder: Path) -> RunningScript | None:
        """Find a script that lives although nothing in its folder says so; None for most.

        Raises:
            OSError: nobody can say now.
        """

    def is_supervised(self, folder: Path) -> bool:
        """Tell whether somebody outside this process watches over this folder's script."""

    def leave(self) -> None:
        """End what would not outlive this process, which is about to end."""

    def close(self) -> None:
        """Let go of everything; safe to call twice."""
