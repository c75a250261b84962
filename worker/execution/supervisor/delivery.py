"""Hand an exit record over: to the agent, or to the disk where there is no agent that takes it."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH102, PTH108

import contextlib
import os
import time

from ..channel import Channel, Kind
from ..plan import Plan
from ..record import EXIT_FILE, OUTPUT_FILE, ExitRecord, replace_file
from .performance import remove_script

#: An agent that has not said within this time that the result is safe may hang: the record goes to disk then.
_UNWRITTEN_SECONDS = 0.2
#: A record that neither disk nor agent takes is kept in memory this long; a full disk is often repaired by then.
_RETRY_SECONDS = 1.0
_RETRY_COUNT = 900


class Delivery:
    """One exit record on its way: held in this process's memory until the agent says that the result is safe.

    So the death of the agent at any moment loses nothing, and nothing is written for an agent that lives.
    """

    def __init__(self, record: ExitRecord, plan: Plan, *, has_saved_output: bool) -> None:
        self._record = record
        self._plan = plan
        self._has_saved_output = has_saved_output
        self._write_at: float | None = time.monotonic() + _UNWRITTEN_SECONDS
        if record.reason == "not_started":
            # Its agent takes that for the answer to the start, and reports it later.
            self.write()

    def send(self, channel: Channel, *, is_retiring: bool) -> bool:
        """Tell the agent how it ended; false when there is none."""
        kind, message = Kind.ENDED_AND_RETIRED if is_retiring else Kind.ENDED, self._record.to_message()
        try:
            try:
                channel.send(kind, message, wait=False)
            except BlockingIOError:
                # It has left its live output unread for so long that it may hang.
                self.write()
                channel.send(kind, message)
        except OSError:
            return False
        return True

    def write_when_due(self) -> bool:
        """Put the record on disk when the agent's word has not come in time; tell whether it is there."""
        if self._write_at is not None and time.monotonic() >= self._write_at:
            self.write()
        return self._write_at is None

    def wait_ms(self) -> int | None:
        """How long the agent's word may be waited for before the record is due on disk; ``None`` when it is there."""
        if self._write_at is None:
            return None
        return max(0, int((self._write_at - time.monotonic()) * 1000) + 1)

    def write(self) -> None:
        """Put the record on disk, so that it outlives this process as well; again later where there is no room."""
        remove_script(self._plan)
        self._write_at = time.monotonic() + _RETRY_SECONDS if self._write() else None

    def insist(self) -> None:
        """Put the record on disk, since nobody else has it; gives up after a quarter of an hour."""
        for _ in range(_RETRY_COUNT):
            if self._write_at is not None:
                self.write()
            if self._write_at is None:
                return
            time.sleep(_RETRY_SECONDS)

    def leave(self) -> None:
        """Leave the folder to the agent, which has the result."""
        remove_script(self._plan)

    def _write(self) -> str:
        """Return why the record could not be written, or an empty string."""
        path, data = f"{self._plan.folder}/{EXIT_FILE}", self._record.to_bytes()
        try:
            self._put(path, data)
        except FileNotFoundError:
            # Of a script that never ran, whoever has removed the folder has the result.
            return ""
        except OSError as exc:
            # On a full disk the saved output, which the record replaces, is the room that the record needs.
            self._remove_saved_output()
            try:
                self._put(path, data)
            except OSError:
                return exc.strerror or str(exc)
        if self._has_saved_output:
            self._remove_saved_output()
        return ""

    def _put(self, path: str, data: bytes) -> None:
        try:
            replace_file(path, data)
        except FileNotFoundError:
            if not self._record.pid:
                raise
            # The script has removed its folder, or the disk had no room for one.
            os.mkdir(self._plan.folder, 0o700)
            replace_file(path, data)

    def _remove_saved_output(self) -> None:
        """Remove the copy of the output that was saved while the script ran; the record has it all."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self._plan.folder}/{OUTPUT_FILE}")
