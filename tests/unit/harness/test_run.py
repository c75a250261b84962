"""``tests/run``: what it makes its environment with."""

import os
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]


def test_an_interpreter_is_taken_from_any_path(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for name in ("setup.py", "requirements.txt", "tests/run"):
        shutil.copy2(CHECKOUT / name, tmp_path / name)
    python = tmp_path / "with space" / "python3"
    python.parent.mkdir()
    # Fills no environment.
    python.write_text("#!/bin/sh\ncase $1 in --version) echo Python of this test ;; -m) exit 7 ;; esac\n")
    python.chmod(0o755)
    outcome = subprocess.run(
        [tmp_path / "tests/run", "setup"],
        env={"PATH": os.environ["PATH"], "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert f"with Python of this test ({python})" in outcome.stderr
    assert outcome.returncode == 7
