"""What the watch over a local system bears."""

import io
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import WaitTimedOut
from cloud_assistant.producer.local_system.children import Child, ChildState
from cloud_assistant.producer.local_system.home_lock import HomeLock
from cloud_assistant.producer.local_system.plan import Plan
from cloud_assistant.producer.local_system.programs import Program
from cloud_assistant.producer.local_system.screen import Screen
from cloud_assistant.producer.local_system.signals import SignalInbox
from cloud_assistant.producer.local_system.system import LocalSystem
from harness.disk import fill, small_disk


class AskedOnce(SignalInbox):
    """Asks for the end as soon as something is so."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._condition = condition

    @property
    def asked_to_end(self) -> bool:
        return self._condition()

    def wait(self, timeout_seconds: float) -> None:
        threading.Event().wait(min(timeout_seconds, 0.05))


def test_a_full_disk_does_not_end_the_local_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_assistant.producer.local_system.children._FIRST_DELAY_SECONDS", 0.05)
    program = Program(
        name="sample",
        argv=("/bin/sh", "-c", "echo up; exec sleep 60"),
        environment={"PATH": "/usr/bin:/bin"},
        ready_place=lambda log: "here" if "up" in log else "",
    )
    shown = io.StringIO()
    children: list[Child] = []
    first: list[int] = []

    def runs_again() -> bool:
        return bool(first) and children[0].pid != first[0] and children[0].state is ChildState.READY

    with small_disk(tmp_path / "home", 128 * 1024) as home, HomeLock(home) as lock, AskedOnce(runs_again) as inbox:
        system = LocalSystem(
            home,
            Plan("redis://127.0.0.1:1/0", None, [program], ""),
            lambda: program,
            lambda: None,
            lock=lock,
            inbox=inbox,
            screen=Screen(shown, {}),
        )
        children += system._children
        assert system.start()
        first.append(children[0].pid)
        # No room for the note; the log still has some of its own block.
        fill(home)
        os.kill(first[0], signal.SIGKILL)
        system.watch()
        assert children[0].is_running
        assert system.end()
    assert shown.getvalue().count("the note of what runs cannot be written (No space left on device)") == 1


def test_a_program_that_is_never_ready_ends_the_start(tmp_path: Path) -> None:
    program = Program(
        name="sample",
        argv=("/bin/sh", "-c", "echo no; exec sleep 60"),
        environment={"PATH": "/usr/bin:/bin"},
        ready_place=lambda _: "",
        ready_seconds=0.2,
    )
    shown = io.StringIO()
    with HomeLock(tmp_path) as lock, SignalInbox() as inbox:
        system = LocalSystem(
            tmp_path,
            Plan("redis://127.0.0.1:1/0", None, [program], ""),
            lambda: program,
            lambda: None,
            lock=lock,
            inbox=inbox,
            screen=Screen(shown, {}),
        )
        with pytest.raises(WaitTimedOut, match=r"sample was not ready within 0\.2 s; its log is"):
            system.start()
        assert system.end()
    assert "sample did not start; the last lines of its log:" in shown.getvalue()


def test_the_agent_ends_first_and_redis_last(tmp_path: Path) -> None:
    def program(name: str) -> Program:
        script = f"trap 'echo {name} >> {tmp_path}/order; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        return Program(
            name=name,
            argv=("/bin/sh", "-c", script),
            environment={"PATH": "/usr/bin:/bin"},
            ready_place=lambda log: "here" if "up" in log else "",
        )

    with HomeLock(tmp_path) as lock, SignalInbox() as inbox:
        system = LocalSystem(
            tmp_path,
            Plan("redis://127.0.0.1:1/0", program("redis"), [program("beat")], "i-one"),
            lambda: program("agent"),
            lambda: None,
            lock=lock,
            inbox=inbox,
            screen=Screen(io.StringIO(), {}),
        )
        assert system.start()
        assert system.end()
    assert (tmp_path / "order").read_text().split() == ["agent", "beat", "redis"]
