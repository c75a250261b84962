"""The long run itself, for a few seconds: it injects, recovers, and says by its exit code what it found."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.processes import clean_environment

_CHAOS = Path(__file__).with_name("chaos.py")


def run_chaos(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, _CHAOS, *arguments],
        env=clean_environment(home, {"TMPDIR": str(home)}),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("options", [[], ["--without-supervisors"]], ids=["supervised", "watched"])
def test_a_short_run_keeps_every_promise(tmp_path: Path, options: list[str]) -> None:
    asked = ["--minutes", "0.15", "--seed", "6", "--agents", "2", "--beats", "1", "--rate", "6"]
    outcome = run_chaos(tmp_path, *asked, *options)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "| a script starts at most once | 0 |" in outcome.stdout
    assert list(tmp_path.glob("chaos-*")) == [], "a run without violations leaves nothing"
