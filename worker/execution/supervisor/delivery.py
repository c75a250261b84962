"""Hand an exit record over: to the disk first, then to the agent, if there still is one."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH108

import contextlib
import os
import time

from ..channel import Channel, Kind
from ..record import EXIT_FILE, OUTPUT_FILE, ExitRecord, replace_file

#: A record that neither disk nor agent takes is kept in memory this long; a full disk is often repaired by then.
_RETRY_SECONDS = 1.0
_RETRY_COUNT = 900


def deliver(record: ExitRecord, folder: str, channel: Channel, *, has_saved_output: bool, is_retiring: bool) -> bool:
    """Write the record into the folder and send it; tell whether the agent is still there.

    After return the record is on disk, or the agent has it with a note that the disk has not; or nobody took it
    for a quarter of an hour. The folder is the agent's from the moment of sending and is not touched any more.
    """
    path = f"{folder}/{EXIT_FILE}"
    data = record.to_bytes()
    problem = _write(path, data, folder)
    if problem:
        record.notes.append(f"the result could not be written to {path} ({problem}): only this message has it")
        data = record.to_bytes()
    elif has_saved_output:
        _remove_saved_output(folder)
    try:
        channel.send(Kind.ENDED_AND_RETIRED if is_retiring else Kind.ENDED, data)
    except OSError:
        if problem:
            _insist(path, data, folder)
        return False
    return True


def _remove_saved_output(folder: str) -> None:
    """Remove the copy of the output that was saved while the script ran; the record has it all."""
    with contextlib.suppress(OSError):
        os.unlink(f"{folder}/{OUTPUT_FILE}")


def _write(path: str, data: bytes, folder: str) -> str:
    """Return why the record could not be written, or an empty string."""
    try:
        replace_file(path, data)
    except OSError as exc:
        # On a full disk the saved output, which the record replaces, is the room that the record needs.
        _remove_saved_output(folder)
        try:
            replace_file(path, data)
        except OSError:
            return exc.strerror or str(exc)
    return ""


def _insist(path: str, data: bytes, folder: str) -> None:
    for _ in range(_RETRY_COUNT):
        time.sleep(_RETRY_SECONDS)
        if not _write(path, data, folder):
            return
