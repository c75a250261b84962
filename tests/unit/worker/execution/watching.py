"""Run scripts in a test as an agent without supervisors does, and look at what is left of them."""

import time
import uuid
from pathlib import Path
from typing import Any

from cloud_assistant.worker.execution.events import Ended, Event
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import (
    ExitRecord,
    StartRecord,
)
from cloud_assistant.worker.execution.running_script import RunningScript
from cloud_assistant.worker.execution.script import Script
from cloud_assistant.worker.execution.watched.posix_process import SessionSystem
from cloud_assistant.worker.execution.watched.watched_launcher import WatchedLauncher
from harness import proc
from harness.eventually import eventually


def new_execution_id() -> str:
    """One that is nobody else's on this machine, as in the ledger: by it a script is found, and ended."""
    return f"x-{uuid.uuid4()}"


def script_of(content: str, **changes: Any) -> Script:
    values: dict[str, Any] = {
        "execution_id": new_execution_id(),
        "instance_id": "i-1",
        "invoke_id": "t-1",
        "command_id": "c-1",
        "command_name": "n",
        "script_type": "RunShellScript",
        "content": content.encode(),
        "working_directory": "/tmp",
        **changes,
    }
    return Script(**values)


def launch(folder: Path, content: str, **changes: Any) -> RunningScript:
    return WatchedLauncher(SessionSystem()).launch(prepare(script_of(content, **changes), folder))


def run(folder: Path, content: str, **changes: Any) -> tuple[list[Event], ExitRecord]:
    events = list(launch(folder, content, **changes).events(timeout=20))
    assert isinstance(events[-1], Ended)
    return events, events[-1].record


def wait_for_text(path: Path) -> str:
    """What a script wrote there: a file is empty for a moment before it holds anything."""
    return eventually(lambda: path.read_text(encoding="ascii") if path.exists() else None, what=f"{path} is written")


def alive(pid_file: Path) -> bool:
    found = proc.process(int(pid_file.read_text(encoding="ascii")))
    return found is not None and not found.is_zombie


def adopted_record(folder: Path) -> ExitRecord:
    adopted = WatchedLauncher(SessionSystem()).adopt(folder)
    assert adopted is not None
    [ended] = list(adopted.events())
    assert isinstance(ended, Ended)
    return ended.record


def start_record(**changes: Any) -> StartRecord:
    values: dict[str, Any] = {
        "execution_id": new_execution_id(),
        "boot_id": "",
        "supervisor_pid": 0,
        "supervisor_start_ticks": 0,
        "cgroup": "",
        "started_ms": time.time_ns() // 1_000_000,
        **changes,
    }
    return StartRecord(**values)
