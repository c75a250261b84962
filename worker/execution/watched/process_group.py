"""A script's main process and all that it starts, as one thing: what a watcher needs of it on any system."""

import os
import subprocess
from typing import NamedTuple, Protocol

from ..not_started import DIRECTORY_NOT_EXISTS, EXECUTION_EXCEPTION, NotStarted
from ..plan import Plan
from ..record import StartRecord


class ProcessGroup(Protocol):
    """The processes of one script."""

    def process_count(self) -> int:
        """Return how many of them live."""

    def ask_to_end(self) -> bool:
        """Ask them all to end; false where the system knows no such request."""

    def kill(self) -> None:
        """End them all."""

    def release(self) -> None:
        """Let them outlive the group."""

    def close(self) -> None:
        """Give the group up."""


class GroupedProcess(NamedTuple):
    """A running script's main process, with pipes to its two streams, and the group around all it starts."""

    process: subprocess.Popen[bytes]
    group: ProcessGroup


class ProcessSystem(Protocol):
    """How a system starts scripts, and finds what an agent that was killed has left of one."""

    def start(self, plan: Plan) -> GroupedProcess:
        """Start the plan's program; everything that it starts will be in its group.

        Raises:
            NotStarted: nothing runs.
        """

    def started_at(self, pid: int) -> int:
        """When a process started, in the system's own measure; 0 where it does not tell."""

    def boot_name(self) -> str:
        """What this run of the machine is called; blank where nobody tells."""

    def end_remains(self, start: StartRecord) -> int:
        """End what lives of a script whose agent is gone; return how many processes could not be ended.

        Raises:
            OSError, SubprocessError: nobody can say what is left.
        """


def could_not_start(plan: Plan, problem: Exception) -> NotStarted:
    """Say why the plan's program was not started: a folder that is gone has a code of its own."""
    code = EXECUTION_EXCEPTION if os.path.isdir(plan.working_directory) else DIRECTORY_NOT_EXISTS  # noqa: PTH112
    return NotStarted(code, f"{plan.arguments[0]!r} could not be started: {problem}")
