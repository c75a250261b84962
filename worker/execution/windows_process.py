"""Start a Windows process inside a job object; the one place that needs the flags and handles of Windows."""

import os
import subprocess
from typing import Any, NamedTuple, Protocol

from .not_started import DIRECTORY_NOT_EXISTS, EXECUTION_EXCEPTION, NotStarted
from .plan import Plan
from .windows_job import WindowsGroup

_CREATE_SUSPENDED = 0x4
_CREATE_NO_WINDOW = 0x8000000


class Group(Protocol):
    """What a watcher needs of a job object."""

    def process_count(self) -> int:
        """Return how many of its processes live."""

    def kill(self) -> None:
        """End them all."""

    def release(self) -> None:
        """Let them outlive the job."""

    def close(self) -> None:
        """Give the job up."""


class GroupedProcess(NamedTuple):
    """A running script's main process, with pipes to its two streams, and the job around all it starts."""

    process: subprocess.Popen[bytes]
    group: Group


def start_in_group(plan: Plan) -> GroupedProcess:
    """Start the plan's program; everything that it starts will be in the job.

    Raises:
        NotStarted: nothing runs.
    """
    group = WindowsGroup()
    try:
        process: Any = subprocess.Popen(
            plan.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=plan.working_directory,
            env=plan.environment,
            creationflags=_CREATE_SUSPENDED | _CREATE_NO_WINDOW,
        )
        group.take(int(process._handle))
    except OSError as exc:
        group.close()
        code = EXECUTION_EXCEPTION if os.path.isdir(plan.working_directory) else DIRECTORY_NOT_EXISTS  # noqa: PTH112
        raise NotStarted(code, f"{plan.arguments[0]!r} could not be started: {exc}") from exc
    return GroupedProcess(process, group)
