"""A child program's life, with real processes."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_assistant.producer.local_system.child_log import ChildLog
from cloud_assistant.producer.local_system.children import Change, Child, ChildState
from cloud_assistant.producer.local_system.programs import Program
from harness import proc, reaper
from harness.eventually import always, eventually

STAYS = "echo up; exec sleep 60"


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    reaper.kill_users_of(tmp_path)


def child(folder: Path, script: str, *, ends_group: bool = True, seconds: float = 10) -> Child:
    program = Program(
        name="sample",
        argv=("/bin/sh", "-c", script),
        environment={"PATH": "/usr/bin:/bin"},
        ready_place=lambda log: "here" if "up" in log else "",
        stop_seconds=seconds,
        ready_seconds=seconds,
        ends_group=ends_group,
    )
    return Child(program, folder, ChildLog(folder / "sample.log"))


def started(sample: Child) -> Child:
    sample.start()
    assert eventually(sample.look, 5) is Change.READY
    return sample


def test_a_child_is_ready_when_its_program_says_so(tmp_path: Path) -> None:
    sample = started(child(tmp_path, STAYS))
    assert (sample.state, sample.place) == (ChildState.READY, "here")
    assert sample.look() is None
    sample.kill()


def test_a_child_runs_in_a_session_of_its_own(tmp_path: Path) -> None:
    sample = started(child(tmp_path, STAYS))
    info = proc.process(sample.pid)
    assert info is not None
    assert info.session_id == sample.pid
    sample.kill()


def test_a_child_that_dies_is_started_again_later_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_assistant.producer.local_system.children._FIRST_DELAY_SECONDS", 0.05)
    sample = started(child(tmp_path, STAYS))
    delays = []
    for _ in range(2):
        proc_before = sample.pid
        signal_to(sample)
        assert eventually(sample.look, 5) is Change.DIED
        assert sample.how_it_ended() == "killed by SIGKILL"
        delays.append(sample.retry_in_seconds)
        assert eventually(sample.look, 5) is Change.RESTARTED
        assert sample.pid != proc_before
        assert eventually(sample.look, 5) is Change.READY
    assert delays == [0.05, 0.1]
    sample.kill()


def signal_to(sample: Child) -> None:

    os.kill(sample.pid, signal.SIGKILL)


def test_a_child_that_fails_says_with_which_exit_code(tmp_path: Path) -> None:
    sample = child(tmp_path, "echo broken; exit 7")
    sample.start()
    assert eventually(sample.look, 5) is Change.DIED
    assert sample.how_it_ended() == "exit code 7"
    assert sample.log.last_lines(1) == ["broken"]


def test_a_child_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    sample = child(tmp_path, "exec sleep 60", seconds=0.1)
    sample.start()
    assert eventually(sample.look, 5) is Change.TOO_SLOW
    assert not sample.is_running


def test_a_child_that_ignores_the_polite_request_is_killed(tmp_path: Path) -> None:
    sample = started(child(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.1; done", seconds=0.3))
    sample.ask_to_end()
    assert eventually(sample.has_ended, 5)
    assert sample.how_it_ended() == "killed by SIGKILL"


@pytest.mark.parametrize("ends_group", [True, False])
def test_what_a_child_leaves_in_its_group_ends_with_it_where_that_is_wanted(tmp_path: Path, ends_group: bool) -> None:
    sample = started(child(tmp_path, "sleep 60 & echo up; wait", ends_group=ends_group))
    left = eventually(lambda: proc.descendants_of(sample.pid), 5)
    sample.ask_to_end()
    assert eventually(sample.has_ended, 5)
    if ends_group:
        eventually(lambda: all((info := proc.process(one.pid)) is None or info.is_zombie for one in left), 5)
    else:
        assert not sample.is_running
        always(lambda: (info := proc.process(left[0].pid)) is not None and not info.is_zombie, 0.3, "it goes on")


@pytest.mark.skipif(sys.platform != "linux", reason="a signal at the parent's death is Linux' own")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # pytest's own threads
def test_a_child_gets_sigterm_when_its_parent_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    parent = os.fork()
    if parent == 0:
        sample = child(tmp_path, STAYS)
        sample.start()
        pid_file.write_text(f"{sample.pid}\n")
        signal.pause()
    pid = int(eventually(lambda: pid_file.read_text().strip() if pid_file.exists() else None, 5))
    assert proc.process(pid)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    eventually(lambda: (info := proc.process(pid)) is None or info.is_zombie, 5)


def test_a_child_that_dies_for_days_is_still_started_again(tmp_path: Path) -> None:
    sample = child(tmp_path, "exit 1")
    for _ in range(1_100):
        # As look() does with each death.
        sample._schedule_restart()
    assert sample.retry_in_seconds == 30


def test_a_child_that_cannot_be_started_again_now_is_tried_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_assistant.producer.local_system.children._FIRST_DELAY_SECONDS", 0.05)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{STAYS}\n")
    program.chmod(0o755)
    sample = child(tmp_path, "")
    sample.program = replace(sample.program, argv=(str(program),))
    started(sample)
    # As while pip puts another release in its place.
    program.rename(tmp_path / "aside")
    signal_to(sample)
    assert eventually(sample.look, 5) is Change.DIED
    assert eventually(sample.look, 5) is Change.NOT_STARTED
    assert "No such file" in sample.start_problem
    (tmp_path / "aside").rename(program)
    assert eventually(lambda: (change := sample.look()) is not Change.NOT_STARTED and change, 5) is Change.RESTARTED
    assert eventually(sample.look, 5) is Change.READY
    sample.kill()
