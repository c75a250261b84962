"""A script that its supervisor has made ready and not started: it waits for our word."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from .channel import Channel, Kind
from .held import Held
from .not_started import EXECUTION_EXCEPTION, NotStarted
from .plan import Plan
from .record import STARTED_FILE, load_start
from .running_script import RunningScript
from .supervised_script import SupervisedScript, SupervisorGone, is_readable

#: Programs on a hanging network disk can take for ever to start; the caller gets the script, not yet started, then.
_START_SECONDS = 5.0
#: A supervisor that was killed while it waited is only noticed when it does not answer.
_ATTEMPT_COUNT = 3
#: Undoing what was made ready takes two system calls; a supervisor that takes longer is dismissed.
_CANCEL_SECONDS = 5.0


class HeldScript(Held):
    """One plan in the hands of a supervisor.

    When this process dies first, the script is never started either: its supervisor then writes that down.
    """

    def __init__(self, plan: Plan, send: Callable[[Plan], Channel], give_back: Callable[[Channel, bool], None]) -> None:
        self._plan = plan
        self._send = send
        self._give_back = give_back
        self._channel: Channel | None = self._sent()

    def start(self) -> RunningScript:
        """Start the script, and return when it runs or a few seconds have passed; once.

        Raises:
            NotStarted: it does not run and never will; no process, no folder or no interpreter for it.
        """
        for _ in range(_ATTEMPT_COUNT):
            channel, self._channel = self._channel or self._sent(), None
            with contextlib.suppress(SupervisorGone):
                return self._started_on(channel)
        raise NotStarted(
            EXECUTION_EXCEPTION,
            f"{_ATTEMPT_COUNT} supervisors were killed before they started the script; see this instance's system log",
        )

    def cancel(self) -> None:
        """Have all undone that was made ready; afterwards no supervisor touches the folder. Safe to call twice."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        is_undone = False
        with contextlib.suppress(OSError):  # a supervisor that is gone has nothing to undo any more
            channel.send(Kind.CANCEL)
            if is_readable(channel, _CANCEL_SECONDS):
                message = channel.receive()
                is_undone = message is not None and message.kind == Kind.READY
        self._give_back(channel, is_undone)

    def _sent(self) -> Channel:
        try:
            return self._send(self._plan)
        except OSError as exc:
            raise NotStarted(
                EXECUTION_EXCEPTION, f"no supervisor for the script: {exc.strerror or exc}; restart the agent"
            ) from exc

    def _started_on(self, channel: Channel) -> RunningScript:
        folder = Path(self._plan.folder)
        try:
            channel.send(Kind.GO)
        except OSError:
            # It is gone, and started nothing without this word: what it made must not hinder another one.
            self._remove_what_was_made()
        running = SupervisedScript(self._plan.execution_id, folder, channel, give_back=self._give_back)
        record = running.wait_for_start(_START_SECONDS)
        if record is not None:
            running.settle(clears=False)
            raise NotStarted(record.error_code, record.error_info)
        return running

    def _remove_what_was_made(self) -> None:
        """Remove script and claim of a supervisor; the empty claim of an agent that gave the execution up stays."""
        if load_start(self._plan.folder) is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._plan.script_path)  # noqa: PTH108 - the plan's paths are strings
            os.unlink(f"{self._plan.folder}/{STARTED_FILE}")  # noqa: PTH108 - as above
