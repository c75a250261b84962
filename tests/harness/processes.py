"""Real programs as child processes, with their signals, their logs and what they cost."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness import logs, proc, reaper
from harness.eventually import eventually


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a program under test: nothing of the developer's own shell comes in."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        **(extra or {}),
    }


class Program:
    """One program, started by us, in its own session, its output appended to one log file.

    Usable as a context manager; leaving it stops the program. A program that its test process could not stop,
    because that was killed itself, is ended by the reaper.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log_path: Path,
        name: str | None = None,
    ) -> None:
        self.argv = [str(part) for part in argv]
        self.env = dict(env)
        self.cwd = cwd
        self.log_path = log_path
        self.name = name or Path(self.argv[0]).name
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start_bytes = 0

    def start(self, ready: str | None = None, within_seconds: float = 20) -> Self:
        """Start it, and wait for a line that matches ``ready`` when given; a second run appends to the log."""
        if self.is_running:
            raise RuntimeError(f"{self.name} (pid {self.pid}) already runs; stop it before starting it again")
        self.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        logs.register(self.name, self.log_path)
        reaper.watch_folder(self.cwd)
        with self.log_path.open("ab") as log:
            self._log_start_bytes = log.tell()
            self._process = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if ready is not None:
            self.wait_for_line(ready, within_seconds)
        return self

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # State

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before it was started; minus the signal's number when a signal ended it."""
        return None if self._process is None else self._process.poll()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # Log

    def log(self) -> str:
        """What this run has written so far (earlier runs of the same log left out)."""
        try:
            return self.log_path.read_bytes()[self._log_start_bytes :].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines: int = logs.TAIL_LINES) -> str:
        return logs.tail_of(self.log_path, lines)

    def wait_for_line(self, pattern: str, within_seconds: float = 20) -> re.Match[str]:
        """Wait until a line of this run's log matches.

        Raises:
            AssertionError: it did not in time, or the program ended before; the text has the log's tail.
        """
        wanted = re.compile(pattern, re.MULTILINE)

        def line() -> re.Match[str] | None:
            ended = not self.is_running
            found = wanted.search(self.log())
            if found is None and ended:
                raise EndedEarly(f"{self.name} ended with {self.exit_code} before it logged {pattern!r}")
            return found

        try:
            return eventually(line, within_seconds, f"{self.name} logs {pattern!r}")
        except (AssertionError, EndedEarly) as exc:
            raise AssertionError(f"{exc}\n{self.log_tail()}") from None

    # Signals

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone; harmless once it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def sigterm(self) -> None:
        self.send(signal.SIGTERM)

    def sigint(self) -> None:
        self.send(signal.SIGINT)

    def sigkill(self) -> None:
        """Kill it and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def sigstop(self) -> None:
        """Freeze it and wait until it is frozen: the signal takes effect a moment after it is sent."""
        self.send(signal.SIGSTOP)
        eventually(lambda: (info := proc.process(self.pid)) is None or info.state in "TZ", 5, f"{self.name} stops")

    def sigcont(self) -> None:
        self.send(signal.SIGCONT)

    def wait(self, within_seconds: float = 20) -> int:
        """Wait for its end and return the exit code.

        Raises:
            AssertionError: it still runs; the text has the log's tail.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        try:
            return self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} (pid {self.pid}) still runs after {within_seconds:g} s\n{self.log_tail()}"
            ) from None

    def stop(self, within_seconds: float = 10) -> int | None:
        """Ask it to end, then kill it; return the exit code, None if it was never started."""
        if self._process is None:
            return None
        if self.is_running:
            self.sigterm()
            # A frozen program takes no SIGTERM until it goes on.
            self.sigcont()
            try:
                self._process.wait(within_seconds)
            except subprocess.TimeoutExpired:
                self.sigkill()
        return self._process.wait()

    # What it started and what it costs

    def children(self) -> list[proc.ProcessInfo]:
        return [info for info in self.tree() if info.parent_pid == self.pid]

    def tree(self) -> list[proc.ProcessInfo]:
        """Its living descendants, parents first."""
        return proc.descendants_of(self.pid)

    @property
    def rss_bytes(self) -> int:
        return proc.rss_bytes(self.pid)

    @property
    def uss_bytes(self) -> int:
        return proc.uss_bytes(self.pid)

    @property
    def fd_count(self) -> int:
        return proc.fd_count(self.pid)

    @property
    def thread_count(self) -> int:
        return proc.thread_count(self.pid)

    @property
    def cpu_seconds(self) -> float:
        return proc.cpu_seconds(self.pid)


class EndedEarly(Exception):
    """The program ended while its ready line was still awaited."""


def installed_program(name: str) -> Path:
    """The console script of this distribution in the environment that runs the tests.

    Raises:
        FileNotFoundError: the distribution is not installed there; the text says what to run.
    """
    path = Path(sys.executable).parent / name
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path} is missing; run 'make dev', or 'pip install -e .[control,test]', first")
    return path
