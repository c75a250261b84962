"""The process that tries a new version: it was the old agent, and becomes the agent of whichever version is right.

It keeps the process id that the service manager knows. The new version runs as its child until there is a verdict;
then the child ends, the link is moved if it passed, and this process becomes the agent again. Scripts go on all the
while, under their supervisors. Whatever happens to the machine meanwhile, the link leads to a version that works.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ...broker_config.clock import monotonic_seconds
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.client import Redis
from ...broker_config.settings import service_manager
from ...broker_config.settings_table import Settings
from ..identity import earlier_epochs
from ..service.notifier import ServiceNotifier
from ..trust.instance_key import read_instance_keys
from .installation import Installation
from .trial import Trial, Verdict
from .upgrade_state import Stage, read_state, write_state

_LOOK_SECONDS = 0.25
_PR_SET_PDEATHSIG = 1
#: A child that was asked to end is killed after this; an agent takes two seconds.
_END_SECONDS = 8.0

_log = logger("upgrade")


@dataclass(kw_only=True)
class Guard:
    """One trial on this machine."""

    settings: Settings
    version: str
    probation_seconds: float
    #: The command line of the agent after its program's name.
    arguments: Sequence[str]
    _asked_to_end: bool = False

    def __post_init__(self) -> None:
        self._home = Path(self.settings.home)
        self._installation = Installation(Path(self.settings.agent.install_folder))
        self._old_version = self._installation.current()

    def run(self) -> NoReturn:
        """Try the version, settle, and become the agent that is right."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            verdict, reason = self._tried()
        except Exception as exc:  # noqa: BLE001  # outermost: a defect here must not leave the machine without an agent
            _log.exception("the trial failed")
            verdict, reason = Verdict.UNDECIDED, f"a defect: {type(exc).__name__}"
        self._settle(verdict, reason)
        if self._asked_to_end:
            sys.exit(0)
        self._become(self._installation.current())

    def _tried(self) -> tuple[Verdict, str]:
        _log.info("trial begins version=%s old=%s", self.version, self._old_version)
        before = earlier_epochs(self._home)
        redis = Redis(self.settings.redis_url, name=f"guard:{self.settings.instance_id}", connect_timeout_seconds=5.0)
        try:
            # A group of its own, so that all of it can be ended; supervisors and scripts are in groups of theirs.
            program = self._installation.program(self.version)
            dying_with_us = _dying_with_us()
            # This process has no other threads, which is what could go wrong here.
            child = subprocess.Popen([program, *self.arguments], process_group=0, preexec_fn=dying_with_us)  # noqa: PLW1509
        except OSError as exc:
            return Verdict.FAILED, f"it cannot be started: {exc.strerror}"
        try:
            keys = read_instance_keys(self._home, self.settings.security.instance_key)
            trial = Trial(
                redis=redis,
                instance_id=self.settings.instance_id,
                instance_keys=keys,
                version=self.version,
                earlier_epochs=before,
                probation_seconds=self.probation_seconds,
            )
            return self._watch(child, trial)
        finally:
            self._end(child)
            redis.close()

    def _watch(self, child: "subprocess.Popen[bytes]", trial: Trial) -> tuple[Verdict, str]:
        # The child's own word does not count while this process is the service's main one.
        notifier = ServiceNotifier(service_manager())
        notifier.status(f"tries version {self.version}")
        while True:
            notifier.alive()
            if self._asked_to_end:
                return Verdict.UNDECIDED, "the service was stopped during its trial"
            code = child.poll()
            if code is not None:
                return Verdict.FAILED, f"it ended during its trial with exit code {code}"
            verdict = trial.look()
            if verdict is not Verdict.OPEN:
                return verdict, trial.reason
            time.sleep(_LOOK_SECONDS)

    def _settle(self, verdict: Verdict, reason: str) -> None:
        stages = {Verdict.PASSED: Stage.SUCCEEDED, Verdict.FAILED: Stage.FAILED}
        try:
            if verdict is Verdict.PASSED:
                self._installation.switch(self.version)
                reason = ""
            write_state(self._home, read_state(self._home).moved(stages.get(verdict, Stage.UNDECIDED), reason))
            keep = (self.version, self._old_version) if verdict is Verdict.PASSED else (self._old_version,)
            self._installation.remove_others(*keep)
        except OSError as exc:
            # The link leads to a version that works in any case; what was not written is found out by it.
            _log.error("the end of the trial could not be written: %s", exc)
        _log.info("trial ends version=%s verdict=%s %s", self.version, verdict.value, reason)

    def _become(self, version: str) -> NoReturn:
        program = self._installation.program(version)
        os.execv(program, [str(program), *self.arguments])

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        """End the child and all of its group."""
        self._signal(child, signal.SIGTERM)
        deadline = monotonic_seconds() + _END_SECONDS
        while child.poll() is None and monotonic_seconds() < deadline:
            time.sleep(0.02)
        # What the group still holds: a program that did not pass the signal on, or did not heed it.
        self._signal(child, signal.SIGKILL)
        child.wait()
        _reap()

    @staticmethod
    def _signal(child: "subprocess.Popen[bytes]", number: int) -> None:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_end = True


def _dying_with_us() -> Callable[[], None] | None:
    """What has the kernel kill a version on trial when its guard is killed, so that the service can start anew."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask


def _reap() -> None:
    """Take leave of what the agent before us had started: nobody else ever asks for these."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
