"""The agent's way to run scripts: hands plans to supervisors and keeps a few of them waiting."""

import shutil
import threading
from pathlib import Path

from .adopted_script import AdoptedScript, FinishedScript
from .cgroup import own_group, remove_empty_groups
from .channel import Channel, Kind
from .fork_server import ForkServer, is_supported
from .lost import claim_of_living, give_up, is_supervised
from .not_started import EXECUTION_EXCEPTION, NotStarted, remedy_for
from .plan import Plan
from .record import load_exit, load_start
from .running_script import RunningScript
from .supervised_script import SupervisedScript, SupervisorGone

#: More waiting supervisors than this are sent home at once; each costs about two megabytes.
MAX_IDLE = 10
#: A waiting supervisor goes home after this long; one stays, so that the next script starts at once.
IDLE_SECONDS = 60.0
#: Programs on a hanging network disk can take for ever to start; the caller gets the script, not yet started, then.
_START_SECONDS = 5.0
#: A supervisor that was killed while it waited is only noticed when it does not answer.
_ATTEMPT_COUNT = 3


class Launcher:
    """Starts scripts under supervisors that outlive this process, and finds those of an earlier one again.

    Thread-safe. ``start`` first; ``close`` ends the idle supervisors and leaves the others at their work.
    """

    def __init__(self, *, max_idle: int = MAX_IDLE, idle_seconds: float = IDLE_SECONDS) -> None:
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[Channel] = []
        self._server: ForkServer | None = None
        self._permanent: Channel | None = None

    def start(self) -> None:
        """Start the fork server and the first supervisor.

        Raises:
            OSError: this system cannot run supervisors, or the fork server does not start.
        """
        if not is_supported():
            raise OSError("supervisors need Linux 5.3 or later with /proc mounted")
        remove_empty_groups(own_group())
        with self._lock:
            self._server = ForkServer()
            self._server.wait_until_ready()
            self._idle.append(self._spawn())

    @property
    def fork_server_pid(self) -> int:
        """The fork server's process; its children are the supervisors."""
        if self._server is None:
            raise RuntimeError("the launcher is not started, or closed; call start() first")
        return self._server.pid

    def launch(self, plan: Plan) -> RunningScript:
        """Have a waiting supervisor, or a new one, run the plan's script.

        Returns when it runs or a few seconds have passed. The plan's descriptors are closed, also when this fails.

        Raises:
            NotStarted: it does not run and never will; no process, no folder or no interpreter for it.
            ScriptOutOfReach: it may run, or have run: its supervisor cannot be heard.
        """
        try:
            for _ in range(_ATTEMPT_COUNT):
                running = SupervisedScript(plan.execution_id, plan.folder, self._send(plan), give_back=self._take_back)
                try:
                    return _started(running)
                except SupervisorGone:
                    # It has claimed nothing; what it had begun to make must not hinder another one.
                    shutil.rmtree(plan.folder, ignore_errors=True)
        except OSError as exc:
            raise NotStarted(
                EXECUTION_EXCEPTION,
                f"the agent has no supervisor for the script: {exc.strerror or exc}; {remedy_for(exc, 'restart it')}",
            ) from exc
        finally:
            plan.close()
        raise NotStarted(
            EXECUTION_EXCEPTION,
            f"{_ATTEMPT_COUNT} supervisors were killed before they started the script; see this instance's system log",
        )

    def adopt(self, folder: Path) -> RunningScript | None:
        """Return the execution that an earlier agent started in this folder, finished or not.

        None means that it was never started; after that it never will be, even if a supervisor still holds its plan.
        """
        folder = folder.absolute()
        if record := load_exit(str(folder)):
            return FinishedScript(folder, record.execution_id)
        start = load_start(str(folder))
        if start is None:
            if give_up(folder):
                return None
            start = load_start(str(folder))
        return AdoptedScript(folder, start) if start else None

    def find_unclaimed(self, execution_id: str, folder: Path) -> RunningScript | None:
        """Find a script that lives although nothing on the disk says so: it was full as the script began.

        Raises:
            OSError: there is no descriptor, or no memory, to look with.
        """
        claim = claim_of_living(execution_id)
        return None if claim is None else AdoptedScript(folder.absolute(), claim)

    def is_supervised(self, folder: Path) -> bool:
        """Tell whether the supervisor that has claimed this folder lives."""
        start = load_start(str(folder))
        return start is not None and is_supervised(start)

    def leave(self) -> None:
        """Do nothing: scripts go on, and supervisors that wait notice the end of this process."""

    def close(self) -> None:
        """End the idle supervisors and the fork server; running scripts go on. Safe to call twice."""
        with self._lock:
            idle, self._idle = self._idle, []
            server, self._server = self._server, None
        for channel in idle:
            channel.close()
        if server is not None:
            server.close()

    def _send(self, plan: Plan) -> Channel:
        message = plan.to_bytes()
        fds = () if plan.journal_fd is None else (plan.journal_fd,)
        while True:
            channel, is_new = self._acquire()
            try:
                channel.send(Kind.PLAN, message, fds)
            except ConnectionError:
                if is_new:
                    return channel  # what can still be received from it says why it is gone
                # It went home or was killed while it waited, and has not received the plan: the next one then.
                self._dismiss(channel)
            except OSError:
                # There is no memory, or no descriptor, for the plan: no supervisor would get it.
                self._take_back(channel, True)
                raise
            else:
                return channel

    def _acquire(self) -> tuple[Channel, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
            return self._spawn(), True

    def _spawn(self) -> Channel:
        """Fork a supervisor, with the lock held; one of them waits for ever."""
        if self._server is None:
            raise OSError("the launcher is not started, or closed")
        idle_seconds = self._idle_seconds if self._permanent else 0.0
        try:
            channel = self._server.spawn(idle_seconds)
        except OSError:
            self._server.close()
            self._server = ForkServer()
            self._server.wait_until_ready()
            channel = self._server.spawn(idle_seconds)
        if self._permanent is None:
            self._permanent = channel
        return channel

    def _take_back(self, channel: Channel, is_reusable: bool) -> None:
        """Keep a supervisor for the next script, or dismiss it."""
        with self._lock:
            is_welcome = len(self._idle) < self._max_idle or channel is self._permanent
            if is_reusable and is_welcome and self._server is not None:
                self._idle.append(channel)
                return
        self._dismiss(channel)
        if not is_reusable:
            remove_empty_groups(own_group())

    def _dismiss(self, channel: Channel) -> None:
        with self._lock:
            if channel is self._permanent:
                self._permanent = None
        channel.close()


def _started(running: SupervisedScript) -> RunningScript:
    record = running.wait_for_start(_START_SECONDS)
    if record is not None:
        running.settle(clears=False)
        raise NotStarted(record.error_code, record.error_info)
    return running
