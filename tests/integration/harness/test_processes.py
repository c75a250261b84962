import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import proc, reaper
from harness.eventually import eventually
from harness.processes import Program, clean_environment, installed_program


def shell(tmp_path: Path, script: str) -> Program:
    return Program(
        ["/bin/sh", "-c", script], env=clean_environment(tmp_path), cwd=tmp_path, log_path=tmp_path / "program.log"
    )


def test_a_program_is_ready_when_its_line_is_logged(tmp_path: Path) -> None:
    with shell(tmp_path, "echo starting; echo 'agent ready instance_id=i-7'; sleep 60").start() as program:
        match = program.wait_for_line(r"agent ready instance_id=(\S+)")
    assert match.group(1) == "i-7"
    assert program.exit_code == -signal.SIGTERM


def test_a_program_that_ends_before_it_is_ready_fails_at_once_with_its_log(tmp_path: Path) -> None:
    program = shell(tmp_path, "echo 'cannot reach Redis'; exit 3")
    with pytest.raises(AssertionError, match=r"ended with 3 before(.|\n)*cannot reach Redis"):
        program.start(ready="ready", within_seconds=30)


def test_a_program_that_never_gets_ready_is_reported_with_its_log(tmp_path: Path) -> None:
    with (
        shell(tmp_path, "echo still waiting; sleep 60") as program,
        pytest.raises(AssertionError, match=r"not within 0.3 s(.|\n)*still waiting"),
    ):
        program.wait_for_line("ready", within_seconds=0.3)


def test_the_exit_code_is_known_after_the_end_and_none_before(tmp_path: Path) -> None:
    program = shell(tmp_path, "read line; exit 7")
    assert program.exit_code is None
    program.start()
    assert program.wait() == 7
    assert program.exit_code == 7
    assert not program.is_running


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    program = shell(tmp_path, "trap '' TERM; echo ready; while :; do sleep 1; done").start(ready="ready")
    assert program.stop(within_seconds=0.2) == -signal.SIGKILL


def test_a_frozen_program_is_stopped_in_order(tmp_path: Path) -> None:
    program = shell(tmp_path, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done").start(ready="ready")
    program.sigstop()
    assert program.stop() == 5


def test_a_frozen_program_goes_on_after_sigcont(tmp_path: Path) -> None:
    with shell(tmp_path, "while :; do echo tick; sleep 0.01; done").start(ready="tick") as program:
        program.sigstop()
        frozen = program.log()
        assert program.log() == frozen
        program.sigcont()
        eventually(lambda: len(program.log()) > len(frozen), what="it ticks again")


def test_a_second_run_appends_to_the_log_but_is_not_ready_by_the_first_runs_line(tmp_path: Path) -> None:
    program = shell(tmp_path, "test -e second || { echo ready; exec sleep 60; }; echo changed; exec sleep 60")
    program.start(ready="^ready$")
    program.stop()
    (tmp_path / "second").touch()
    with program.start(ready="changed"):
        assert program.log() == "changed\n"
        assert "ready" in program.log_tail()


def test_the_environment_is_built_and_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_REDIS_URL", "redis://of-the-developer")
    program = shell(tmp_path, "env").start()
    program.wait()
    assert "of-the-developer" not in program.log()
    assert f"HOME={tmp_path}" in program.log()
    assert f"PATH={Path(sys.executable).parent}:" in program.log()


def test_the_tree_holds_grandchildren_and_costs_can_be_read(tmp_path: Path) -> None:
    with shell(tmp_path, "sh -c 'sleep 60 & echo ready; wait' & wait").start(ready="ready") as program:
        eventually(lambda: len(program.tree()) == 2, what="sh and its sleep are below")
        assert [info.command for info in program.children()] == ["sh -c sleep 60 & echo ready; wait"]
        assert program.rss_bytes >= program.uss_bytes > 0
        assert program.fd_count >= 3
        assert program.thread_count == 1
        assert program.cpu_seconds < 5
        reaper.kill_users_of(tmp_path)


def test_a_double_forked_process_in_its_own_session_is_found_by_its_folder(tmp_path: Path) -> None:
    program = shell(tmp_path, "setsid sleep 61 >/dev/null 2>&1 & exit 0").start()
    program.wait()
    left = eventually(lambda: proc.processes_using(tmp_path), what="the leftover shows")
    assert "sleep 61" in left[0].command
    assert [info.pid for info in reaper.kill_users_of(tmp_path)] == [left[0].pid]
    assert not proc.processes_using(tmp_path)


def test_a_signal_reaches_one_process_and_never_another_that_has_its_number(tmp_path: Path) -> None:
    with Program(["sleep", "60"], env={"PATH": os.defpath}, cwd=tmp_path, log_path=tmp_path / "log") as program:
        info = proc.process(program.pid)
        assert info is not None
        proc.send(replace(info, start_ticks=info.start_ticks - 1), signal.SIGKILL)
        assert program.is_running
        proc.send(info, signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL
    proc.send(info, signal.SIGKILL)


def test_a_neighbours_folder_with_a_longer_name_is_not_ours(tmp_path: Path) -> None:
    ours, neighbours = tmp_path / "a", tmp_path / "a1"
    ours.mkdir()
    with shell(neighbours, "echo ready; sleep 60").start(ready="ready"):
        assert proc.processes_using(neighbours)
        assert not proc.processes_using(ours)


def test_programs_end_when_their_test_process_is_killed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    starter = f"""
import os, signal
from pathlib import Path
from harness.processes import Program, clean_environment
home = Path({str(home)!r})
script = "setsid sleep 62 & echo ready; sleep 63"
Program(["/bin/sh", "-c", script], env=clean_environment(home), cwd=home, log_path=home / "log").start(ready="ready")
os.kill(os.getpid(), signal.SIGKILL)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", starter], cwd=reaper.TESTS_FOLDER, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == -signal.SIGKILL, outcome.stderr
    eventually(lambda: not proc.processes_using(home), what="nothing of the killed test process runs")


def test_a_program_that_is_not_installed_is_named_with_the_remedy() -> None:
    with pytest.raises(FileNotFoundError, match="make dev"):
        installed_program("assist-nothing")
