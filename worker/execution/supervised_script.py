"""A script that this agent has started: its supervisor is at the other end of a connection."""
# Every script passes here: paths as strings.
# ruff: noqa: PTH110

import contextlib
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from .channel import Channel, Kind, Message
from .events import Ended, Event, Started
from .lost import settle_lost
from .not_started import EXECUTION_EXCEPTION
from .output.output_chunk import OutputChunk
from .proc_table import start_ticks_of
from .record import STARTED_FILE, ExitRecord, StartRecord, load_exit, not_started_record
from .running_script import RunningScript
from .script import OUTPUT_LIMIT_BYTES


class SupervisorGone(Exception):
    """A supervisor ended after it was sent a plan and before it claimed the execution: another one may have it."""


class SupervisedScript(RunningScript):
    """One execution on a connected supervisor, which goes back to its launcher when the script is settled.

    A supervisor that dies is noticed at once: what is left of its script is killed, and the script has ended with
    the reason ``supervisor_lost``.
    """

    def __init__(
        self, execution_id: str, folder: str, channel: Channel, *, give_back: Callable[[Channel, bool], None]
    ) -> None:
        super().__init__(execution_id)
        self._folder = folder
        self._channel: Channel | None = channel
        self._give_back = give_back
        self._lock = threading.Lock()
        self._waiting: list[Event] = []
        self._is_start_known = False
        self._may_be_gone = False
        self._is_reusable = False
        #: The claim of an execution that the disk did not take.
        self._claim: StartRecord | None = None

    def wait_for_start(self, timeout: float) -> ExitRecord | None:
        """Wait until the script runs; return the record instead when it never will.

        The first event waits for ``events`` in any case.

        Raises:
            SupervisorGone: nothing was started; closed.
            ScriptOutOfReach: it may run, and may have ended; closed.
        """
        self._may_be_gone = True
        event = self._heard(timeout)
        self._may_be_gone = False
        if isinstance(event, Ended) and event.record.reason == "not_started":
            return event.record
        if event is not None:
            self._waiting.insert(0, event)
        return None

    def stop(self) -> None:
        """Ask the supervisor to end the script."""
        with self._lock:
            if self._channel is not None:
                # A supervisor that cannot be told is gone, and its script with it, or has such a message already.
                # One that has ended this script meanwhile reads the message before the next plan, and ignores it.
                with contextlib.suppress(OSError):
                    self._channel.send(Kind.STOP, wait=False)

    def settle(self, *, clears: bool) -> bool:
        """Let the supervisor clear the folder, or leave it to us, and take the next script."""
        channel = self._release()
        if channel is None:
            return False
        try:
            channel.send(Kind.TAKEN if clears else Kind.KEPT)
        except OSError:
            # It was killed since it told us: nobody but us clears the folder.
            self._give_back(channel, False)
            return False
        self._give_back(channel, self._is_reusable)
        return clears

    def fileno(self) -> int:
        """Return the connection's descriptor, -1 when the script is settled."""
        return self._channel.fileno() if self._channel is not None else -1

    def close(self) -> None:
        """Let go of the script; its supervisor sees an agent that is gone."""
        if channel := self._release():
            self._give_back(channel, False)

    def _release(self) -> Channel | None:
        with self._lock:
            channel, self._channel = self._channel, None
            return channel

    def _next_event(self, timeout: float | None) -> Event | None:
        if self._waiting:
            return self._waiting.pop(0)
        channel = self._channel
        if channel is None:
            return None
        if timeout is not None and not is_readable(channel, timeout):
            return None
        message = channel.receive()
        if message is None:
            self.close()
            is_claimed = self._claim is not None or os.path.exists(f"{self._folder}/{STARTED_FILE}")
            if self._may_be_gone and not is_claimed:
                raise SupervisorGone
            return self._ended(
                load_exit(self._folder) or settle_lost(Path(self._folder), self.execution_id, self._claim)
            )
        if message.kind == Kind.UNWRITTEN_CLAIM:
            self._claim = StartRecord.from_bytes(message.body)
            return self._next_event(timeout)
        return self._event_of(message)

    def _ended(self, record: ExitRecord) -> Event:
        """Return the end, or the start before it when the script was over before it was announced."""
        if record.pid and not self._is_start_known:
            self._is_start_known = True
            self._waiting.append(Ended(record))
            return Started(record.pid)
        return Ended(record)

    def _event_of(self, message: Message) -> Event:
        match message.kind:
            case Kind.STARTED:
                self._is_start_known = True
                pid = int(message.body)
                if self._claim is not None:
                    self._claim.pid, self._claim.start_ticks = pid, start_ticks_of(pid)
                return Started(pid)
            case Kind.OUTPUT:
                return OutputChunk.from_bytes(message.body)
            case Kind.ENDED | Kind.ENDED_AND_RETIRED:
                self._is_reusable = message.kind == Kind.ENDED
                return self._ended(ExitRecord.from_message(message.body))
            case Kind.FORK_FAILED:
                self.close()
                return Ended(_fork_failed(self.execution_id, message.body.decode()))
            case _:
                raise ValueError(f"a supervisor sent {message.kind.name}, which only agents send")


def is_readable(channel: Channel, timeout: float) -> bool:
    """Tell whether there is something to read, or the other side is gone, within this many seconds."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    return bool(poll.poll(max(0, timeout) * 1000))


def _fork_failed(execution_id: str, reason: str) -> ExitRecord:
    return not_started_record(
        execution_id,
        EXECUTION_EXCEPTION,
        f"no process could be forked for the script: {reason}; this instance is short of memory or pids",
        output_limit_bytes=OUTPUT_LIMIT_BYTES,
    )
