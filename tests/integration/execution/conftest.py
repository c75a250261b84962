"""A launcher of the test's own, and the check that it leaves no supervisor behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.execution.running import Runner, is_alive

from cloud_assistant.worker.execution.launcher import Launcher
from harness import proc, reaper
from harness.eventually import eventually


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    home = tmp_path / "home"
    home.mkdir()
    reaper.watch_folder(home)
    launcher = Launcher()
    launcher.start()
    fork_server_pid = launcher.fork_server_pid
    runner = Runner(launcher, home)
    yield runner
    supervisors = [info.pid for info in runner.supervisors()]
    launcher.close()
    assert proc.process(fork_server_pid) is None
    eventually(lambda: not any(map(is_alive, supervisors)), what=f"the supervisors {supervisors} have ended")
