"""The agent's side of the fork server: start it, ask it for supervisors, start it again when it was killed."""

import os
import subprocess
import sys
from pathlib import Path

from .channel import Channel, Kind

_MAIN_FILE = Path(__file__).parent / "supervisor" / "__main__.py"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class ForkServer:
    """One fork server process; not thread-safe, its launcher holds a lock.

    It is a fresh interpreter rather than a fork of the agent: whenever it is started, no thread, lock or descriptor
    of the agent gets into it, and it has a command line of its own, so that whoever kills agents by name does not
    kill their running scripts.
    """

    def __init__(self) -> None:
        ours, theirs = Channel.pair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_MAIN_FILE), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours

    @property
    def pid(self) -> int:
        """The process; its children are the supervisors."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it serves.

        Raises:
            OSError: it ended instead; what it wrote is on the agent's own standard error.
        """
        message = self._control.receive()
        if message is None or message.kind != Kind.READY:
            code = self.close()
            raise OSError(f"the fork server ended with code {code} before it was ready; see the agent's error output")

    def spawn(self, idle_seconds: float) -> Channel:
        """Return a connection to a new supervisor, which ends after ``idle_seconds`` without work; 0 for never.

        Raises:
            OSError: the fork server is gone.
        """
        ours, theirs = Channel.pair()
        try:
            self._control.send(Kind.SPAWN, str(idle_seconds).encode(), (theirs.fileno(),))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def close(self) -> int:
        """Let it end and wait for that; supervisors live on. Return its exit code."""
        self._control.close()
        return self._process.wait()


def is_supported() -> bool:
    """Tell whether this system has what supervisors need."""
    return hasattr(os, "pidfd_open") and Path("/proc/self/stat").exists()
