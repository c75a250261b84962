"""Start a Windows process inside a job object; the one place that needs the flags and handles of Windows."""

import subprocess
from typing import Any

from ..plan import Plan
from ..record import StartRecord
from ..watched.process_group import GroupedProcess, could_not_start
from .job import WindowsGroup
from .script import windows_command_line

_CREATE_SUSPENDED = 0x4
_CREATE_NO_WINDOW = 0x8000000


class WindowsSystem:
    """Windows: a job ends with the process that holds it, so an agent leaves nothing behind."""

    def start(self, plan: Plan) -> GroupedProcess:
        """Start the plan's program in a job.

        Raises:
            NotStarted: nothing runs.
        """
        group: WindowsGroup | None = None
        process: Any = None
        try:
            group = WindowsGroup()
            process = subprocess.Popen(
                windows_command_line(plan.arguments),
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
            if group is not None:
                group.close()
            if process is not None:
                # Not in the job, and suspended: nothing else would ever end it.
                with process:
                    process.kill()
            raise could_not_start(plan, exc) from exc
        return GroupedProcess(process, group)

    def started_at(self, pid: int) -> int:
        """Return 0: nobody will ask."""
        return 0

    def boot_name(self) -> str:
        """Return nothing: nobody will ask."""
        return ""

    def end_remains(self, start: StartRecord) -> int:
        """Return 0: nothing is left."""
        return 0
