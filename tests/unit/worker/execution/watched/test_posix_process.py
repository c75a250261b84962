"""Sessions of Linux, FreeBSD and macOS: what is found of a script again, and what is left alone."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from unit.worker.execution.watching import (
    adopted_record,
    alive,
    new_execution_id,
    script_of,
    start_record,
    wait_for_text,
)

from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.proc_table import start_ticks_of
from cloud_assistant.worker.execution.record import (
    StartRecord,
    load_start,
)
from cloud_assistant.worker.execution.watched import posix_process
from cloud_assistant.worker.execution.watched.posix_process import SessionSystem
from cloud_assistant.worker.execution.watched.watched_launcher import WatchedLauncher


def test_what_nobody_can_find_is_not_told_as_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent was killed between the start of a script and the note of its first process, and ``ps`` is not there."""
    monkeypatch.setattr(posix_process, "_HAS_PROC", False)
    monkeypatch.setattr(posix_process, "_LIST_COMMANDS", (str(tmp_path / "no-ps"),))
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "started.json").write_bytes(start_record().to_bytes())
    record = adopted_record(folder)
    assert any("which may still run" in note for note in record.notes)


@pytest.mark.parametrize(
    ("content", "is_linux"),
    [
        ("sleep 100 & echo $! > CHILD; wait", True),
        ("sleep 100 & echo $! > CHILD; wait", False),
        ("exec > CHILD; echo $$; exec sleep 100", True),
        ("sleep 100 >/dev/null 2>&1 & echo $! > CHILD", True),
    ],
)
def test_a_script_whose_agent_died_before_it_noted_the_first_process_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, is_linux: bool
) -> None:
    monkeypatch.setattr(posix_process, "_HAS_PROC", is_linux)
    execution_id = new_execution_id()
    folder = tmp_path / execution_id
    plan = prepare(script_of(content.replace("CHILD", str(tmp_path / "child")), execution_id=execution_id), folder)
    folder.mkdir()
    (folder / "started.json").write_bytes(start_record(execution_id=execution_id).to_bytes())
    Path(plan.script_path).write_bytes(plan.content)
    process, _ = SessionSystem().start(plan)
    with process:
        wait_for_text(tmp_path / "child")
        with subprocess.Popen(["tail", "-f", plan.script_path], stdout=subprocess.DEVNULL) as reader:
            record = adopted_record(folder)
            assert (record.survivors, record.notes, reader.poll()) == (0, [], None)
            reader.kill()
    assert not alive(tmp_path / "child")


def test_a_clock_that_was_set_makes_nobody_a_stranger(tmp_path: Path) -> None:
    """As on a machine without a clock of its own, which is told the time while the script runs."""
    launcher = WatchedLauncher(SessionSystem())
    running = launcher.launch(prepare(script_of(f"echo $$ > {tmp_path}/pid; sleep 100"), tmp_path / "x"))
    wait_for_text(tmp_path / "pid")
    start = load_start(str(tmp_path / "x"))
    assert start is not None
    assert start.start_ticks == start_ticks_of(start.pid)
    start.started_ms = 1
    (tmp_path / "x" / "started.json").write_bytes(start.to_bytes())
    assert adopted_record(tmp_path / "x").notes == []
    assert not alive(tmp_path / "pid")
    list(running.events(timeout=20))


def test_a_script_of_another_boot_has_left_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as stranger:
        ticks = start_ticks_of(stranger.pid)
        assert SessionSystem().end_remains(start_record(boot_id="another", pid=stranger.pid, start_ticks=ticks)) == 0
        assert stranger.poll() is None
        stranger.kill()


def test_a_living_process_whose_start_was_not_noted_may_be_anybodys(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as somebody:
        with pytest.raises(OSError, match="was not noted"):
            SessionSystem().end_remains(start_record(pid=somebody.pid))
        assert somebody.poll() is None
        somebody.kill()


def test_every_process_is_listed(tmp_path: Path) -> None:
    """The list is that of ``ps``, which every system of the family has."""
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as sleeper:
        assert posix_process.SessionGroup(sleeper.pid).process_count() == 1
        sleeper.kill()
    assert posix_process.SessionGroup(sleeper.pid).process_count() == 0


def test_a_stranger_with_the_number_of_an_old_script_is_left_alone(tmp_path: Path) -> None:
    system = SessionSystem()
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as stranger:
        started_at = system.started_at(stranger.pid)
        for changes in ({"start_ticks": started_at - 5}, {"started_ms": 1}, {"pid": 0, "started_ms": 1}):
            given: dict[str, Any] = {"started_ms": time.time_ns() // 1_000_000, "pid": stranger.pid, **changes}
            given.setdefault("start_ticks", started_at)
            start = StartRecord(
                execution_id="x", boot_id="", supervisor_pid=0, supervisor_start_ticks=0, cgroup="", **given
            )
            assert system.end_remains(start) == 0
        assert stranger.poll() is None
        stranger.kill()
    assert system.started_at(stranger.pid) == 0
