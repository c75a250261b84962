"""Run scripts in a test as an agent would, and look at what is left of them."""

import itertools
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cloud_assistant.worker.execution.events import Ended, Event, Started
from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.execution.output.frame_log import STDERR, STDOUT
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import ExitRecord
from cloud_assistant.worker.execution.running_script import RunningScript
from cloud_assistant.worker.execution.script import Script
from harness import proc
from harness.eventually import eventually

_numbers = itertools.count(1)


def script_of(content: str | bytes, **changes: object) -> Script:
    """A shell script with an execution id of its own."""
    values: dict[str, object] = {
        "execution_id": f"x-{os.getpid()}-{next(_numbers)}",
        "instance_id": "i-1",
        "invoke_id": "t-1",
        "command_id": "c-1",
        "command_name": "test",
        "script_type": "RunShellScript",
        "content": content.encode() if isinstance(content, str) else content,
        "grace_seconds": 0.3,
        **changes,
    }
    return Script(**values)  # type: ignore[arg-type]


class Outcome(NamedTuple):
    """What a script reported until its end."""

    record: ExitRecord
    events: list[Event]

    @property
    def stdout(self) -> bytes:
        return self.record.output.of_stream(STDOUT)

    @property
    def stderr(self) -> bytes:
        return self.record.output.of_stream(STDERR)

    @property
    def chunks(self) -> list[OutputChunk]:
        return [event for event in self.events if isinstance(event, OutputChunk)]


def to_the_end(running: RunningScript, *, clears: bool = False) -> Outcome:
    """Read every event; check their order, and say that the result is safe."""
    events = list(running.events(timeout=30))
    assert isinstance(events[-1], Ended), f"no end within 30 s of silence: {events}"
    assert [type(event) for event in events].count(Ended) == 1
    assert isinstance(events[0], Started | Ended)
    running.settle(clears=clears)
    return Outcome(events[-1].record, events)


class Runner:
    """A launcher and a folder for its executions."""

    def __init__(self, launcher: Launcher, home: Path) -> None:
        self.launcher = launcher
        self.home = home

    def folder_of(self, script: Script) -> Path:
        return self.home / script.execution_id

    def start(self, script: Script) -> RunningScript:
        return self.launcher.launch(prepare(script, self.folder_of(script)))

    def run(self, content: str | bytes, **changes: object) -> Outcome:
        return to_the_end(self.start(script_of(content, **changes)))

    def only_supervisor(self) -> proc.ProcessInfo:
        """The one that waits from the beginning."""
        [supervisor] = eventually(self.supervisors, what="the first supervisor waits")
        return supervisor

    def wait_until_calm(self, supervisor: proc.ProcessInfo) -> None:
        """Wait until a supervisor has heard that its last script is settled, and let go of its files."""
        eventually(
            lambda: not any("/claim" in target for target in proc.descriptors_of(supervisor.pid).values()),
            what="it is calm",
        )

    def supervisors(self) -> Sequence[proc.ProcessInfo]:
        """The living supervisors; scripts are children of theirs."""
        children = proc.descendants_of(self.launcher.fork_server_pid)
        return [info for info in children if info.parent_pid == self.launcher.fork_server_pid]


def is_alive(pid: int) -> bool:
    """Whether a process lives; what waits for its parent to notice its end does not."""
    info = proc.process(pid)
    return info is not None and not info.is_zombie


def processes_of(script: Script) -> list[int]:
    """Living processes that were started with this execution's id in their environment, or below one that was."""
    return sorted({info.pid for info in _living_of(script)})


def _living_of(script: Script) -> list[proc.ProcessInfo]:
    marker = f"CA_EXECUTION_ID={script.execution_id}".encode()
    found = [info for info in proc.all_processes() if _carries(info.pid, marker)]
    return [*found, *proc.descendants_of(*(info.pid for info in found))]


def _carries(pid: int, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def kill_all_of(script: Script) -> None:
    """For tests that leave processes behind on purpose."""
    while living := _living_of(script):
        for info in living:
            proc.send(info, signal.SIGKILL)
