"""An agent that kills itself with SIGKILL at one named point; started by the tests in place of ``assist-agent``.

The product has no switch for this: its own methods are wrapped here, in the process of the test's agent alone.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from cloud_assistant.worker import cli, executor, journal, reporter
from cloud_assistant.worker.boot import boot_start
from cloud_assistant.worker.execution import launcher
from cloud_assistant.worker.execution.watched import posix_process, watched_launcher, watched_script

#: name → (class, method, before or after the call), whoever runs the scripts.
_OF_ALL: dict[str, tuple[type, str, str]] = {
    "after the claim was sent ahead": (executor.Executor, "claim_ahead", "after"),
    "before the claim": (executor.Executor, "_claim", "before"),
    "after the claim": (executor.Executor, "_claim", "after"),
    "before the journal is on disk": (journal.Journal, "begin_start", "after"),
    "after the boot is in the journal": (journal.Journal, "confirm_starts", "after"),
    "before the report": (reporter.Reporter, "deliver", "before"),
    "after the boot fired": (boot_start.BootStart, "_payloads", "before"),
    "before a boot's script": (executor.Executor, "_run_script", "before"),
    "after the report": (reporter.Reporter, "_move", "after"),
}
SUPERVISED_POINTS = {
    **_OF_ALL,
    "before the plan is sent": (launcher.Launcher, "_send", "before"),
    "after the plan was sent": (launcher.Launcher, "_send", "after"),
    "after the start": (launcher.Launcher, "launch", "after"),
}
WATCHED_POINTS = {
    **_OF_ALL,
    "before the first process": (posix_process.SessionSystem, "start", "before"),
    "before the first process is noted": (posix_process.SessionSystem, "start", "after"),
    "after a watched start": (watched_launcher.WatchedLauncher, "launch", "after"),
    "before the record of a watched script": (watched_script.WatchedScript, "_finish", "before"),
    "after the record of a watched script": (watched_script.WatchedScript, "_finish", "after"),
}


def arm_method(owner: type, name: str, when: str) -> None:
    """Make the process die at the next call of this method, before or after it does its work."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def deadly(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    arm_method(*{**SUPERVISED_POINTS, **WATCHED_POINTS}[sys.argv.pop(1)])
    cli.main()
