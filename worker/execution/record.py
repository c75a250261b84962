"""The two files that outlive every process of an execution: that it was started, and how it ended.

Also the third, ``output.bin``: what was kept of the output a moment ago, for the case that the supervisor is killed.
"""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH108, PTH123

import binascii
import json
import marshal
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from .machine_clock import wall_clock_ms
from .output.kept_output import KeptOutput
from .whole_write import write_whole
from .windows.opened_elsewhere import patiently

STARTED_FILE = "started.json"
#: The other name of that file, by which it outlives an execution.
CLAIM_FILE = "claim"
EXIT_FILE = "exit.json"
OUTPUT_FILE = "output.bin"
#: The traceback of a supervisor that failed by a defect of ours.
CRASH_FILE = "supervisor-crash.txt"

Reason = Literal["exited", "timeout", "stopped", "not_started", "supervisor_lost"]

_VERSION = 1
_PATIENCE_SECONDS = 1.0
#: A new file of our own, never one that somebody has put or linked there; Windows has other names for the last ones.
_NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL
for _name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
    _NEW_FILE_FLAGS |= getattr(os, _name, 0)


class Step(NamedTuple):
    """One thing that was done to end a script, and how many processes of it lived at that moment."""

    what: str
    at_ms: int
    process_count: int


@dataclass(kw_only=True, slots=True)
class ExitRecord:
    """How an execution ended; held by its supervisor, or written to disk, until its result is safe elsewhere.

    ``pid``, ``exit_code`` and ``signal`` are those of the main process, the last two never both. ``survivors``
    counts processes that outlived an attempt to end them all, ``left_running`` those that a script left behind.
    """

    execution_id: str
    reason: Reason
    started_ms: int
    finished_ms: int
    output: KeptOutput
    pid: int = 0
    exit_code: int | None = None
    signal: int | None = None
    error_code: str = ""
    error_info: str = ""
    survivors: int = 0
    left_running: int = 0
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """Return the record as JSON, the output in Base64."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["steps"] = [step._asdict() for step in self.steps]
        values["output"] = binascii.b2a_base64(self.output.to_bytes(), newline=False).decode("ascii")
        return json.dumps({"version": _VERSION, **values}).encode("ascii")

    def to_message(self) -> bytes:
        """Return the record for the agent of this supervisor, which is the same interpreter; never stored."""
        values = [getattr(self, name) for name in self.__slots__]
        values[_OUTPUT] = self.output.to_bytes()
        values[_STEPS] = [tuple(step) for step in self.steps]
        return marshal.dumps(values)

    @classmethod
    def from_message(cls, data: bytes) -> "ExitRecord":
        """Return the record that ``to_message`` wrote."""
        values = marshal.loads(data)
        values[_OUTPUT] = KeptOutput.from_bytes(values[_OUTPUT])
        values[_STEPS] = [Step(*step) for step in values[_STEPS]]
        return cls(**dict(zip(cls.__slots__, values, strict=True)))

    @classmethod
    def from_bytes(cls, data: bytes) -> "ExitRecord":
        """Return the record that ``to_bytes`` wrote.

        Raises:
            ValueError: it is damaged or of another version.
        """
        values = json.loads(data)
        if not isinstance(values, dict) or values.pop("version", None) != _VERSION:
            raise ValueError(f"not an exit record of version {_VERSION}")
        try:
            values["output"] = KeptOutput.from_bytes(binascii.a2b_base64(values["output"]))
            values["steps"] = [Step(**step) for step in values["steps"]]
            return cls(**values)
        except (KeyError, TypeError) as exc:
            raise ValueError(f"not an exit record of version {_VERSION}: {exc}") from exc


def not_started_record(
    execution_id: str,
    error_code: str,
    error_info: str,
    *,
    output_limit_bytes: int,
    notes: Iterable[str] = (),
) -> ExitRecord:
    """Return the record of an execution of which nothing ever ran."""
    now_ms = wall_clock_ms()
    return ExitRecord(
        execution_id=execution_id,
        reason="not_started",
        started_ms=now_ms,
        finished_ms=now_ms,
        error_code=error_code,
        error_info=error_info,
        output=KeptOutput(output_limit_bytes),
        notes=list(notes),
    )


#: Where in a message the parts are that are no plain values.
_OUTPUT = ExitRecord.__slots__.index("output")
_STEPS = ExitRecord.__slots__.index("steps")


@dataclass(kw_only=True, slots=True)
class StartRecord:
    """Who runs an execution; written before the script is spawned, completed with its process just after."""

    execution_id: str
    boot_id: str
    supervisor_pid: int
    supervisor_start_ticks: int
    cgroup: str
    started_ms: int
    pid: int = 0
    start_ticks: int = 0

    def to_bytes(self) -> bytes:
        """Return the record as JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "StartRecord":
        """Return the record that ``to_bytes`` wrote.

        Raises:
            ValueError: it is damaged.
        """
        try:
            return cls(**json.loads(data))
        except TypeError as exc:
            raise ValueError(f"not a start record: {exc}") from exc


def spare_root(folder: str) -> str:
    """Where the emptied folders of executions in ``folder`` are kept, if it is there."""
    return f"{folder}-spare"


def load_exit(folder: str) -> ExitRecord | None:
    """Return how the execution in this folder ended, or None when it has not.

    A damaged file counts as none: a power cut can leave one, and then the boot id tells what happened.
    """
    data = _read(f"{folder}/{EXIT_FILE}")
    try:
        return ExitRecord.from_bytes(data) if data else None
    except ValueError:
        return None


def load_start(folder: str) -> StartRecord | None:
    """Return who runs the execution in this folder, or None when nobody ever did or the file is damaged."""
    data = _read(f"{folder}/{STARTED_FILE}")
    try:
        return StartRecord.from_bytes(data) if data else None
    except ValueError:
        return None


def load_output(folder: str) -> KeptOutput | None:
    """Return the output as it was last saved while the script ran."""
    data = _read(f"{folder}/{OUTPUT_FILE}")
    try:
        return KeptOutput.from_bytes(data) if data else None
    except ValueError:
        return None


def replace_file(path: str, data: bytes) -> None:
    """Write a whole file so that a reader sees the old one or the new one, and only its owner sees it at all.

    Not forced to the platter: it has to survive the death of processes, and after a power cut the boot id tells.
    """
    temporary = path + ".new"
    try:
        fd = os.open(temporary, _NEW_FILE_FLAGS, 0o600)
    except FileExistsError:  # whoever wrote it before us was killed in the middle
        os.unlink(temporary)
        fd = os.open(temporary, _NEW_FILE_FLAGS, 0o600)
    try:
        write_whole(fd, data)
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    patiently(partial(os.replace, temporary, path), _PATIENCE_SECONDS)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return b""
