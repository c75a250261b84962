import subprocess
import sys
from pathlib import Path

from harness.reaper import TESTS_FOLDER

FAILING_TEST = """
from harness.processes import Program, clean_environment

def test_it(tmp_path):
    program = Program(["/bin/sh", "-c", "echo the last words of the agent; sleep 60"],
        env=clean_environment(tmp_path), cwd=tmp_path, log_path=tmp_path / "agent.log", name="agent i-one")
    with program.start(ready="last words"):
        assert False
"""


def test_a_failing_test_shows_the_logs_of_its_programs(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(FAILING_TEST)
    (tmp_path / "conftest.py").write_text((TESTS_FOLDER / "conftest.py").read_text(encoding="utf-8"))
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:valkey", "-p", "no:cacheprovider", "test_sample.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TESTS_FOLDER), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert "agent i-one: " in outcome.stdout
    assert "\nthe last words of the agent\n" in outcome.stdout
