"""Scripts in a Python for Windows under Wine, without an agent around them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from windows.conftest import as_windows

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]

_BEGIN = r"""
import os, sys
from pathlib import Path
from cloud_assistant.worker.execution.events import Ended
from cloud_assistant.worker.execution.script import Script
from cloud_assistant.worker.execution.this_system import new_launcher, prepare

def launch(folder, content):
    script = Script(
        execution_id="x-1", instance_id="i-1", invoke_id="t-1", command_id="c-1", command_name="n",
        script_type="RunBatScript", content=content,
    )
    return launcher.launch(prepare(script, folder, os.environ))

def ended(running):
    return [event.record for event in running.events(timeout=20) if isinstance(event, Ended)][0]

launcher, root = new_launcher(), Path(sys.argv[1])
"""


@pytest.fixture
def on_windows(python: Path, environment: dict[str, str], tmp_path: Path) -> Callable[[str], list[str]]:
    """Run lines of Python there, with ``launch``, ``ended`` and the folder ``root``; answers the lines they print."""

    def run(lines: str) -> list[str]:
        command = ["wine", str(python), "-X", "utf8", "-c", _BEGIN + lines, as_windows(tmp_path)]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")
        return done.stdout.decode().splitlines()

    return run


def test_a_batch_file_runs_wherever_the_home_lies(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
for name in ("a b", "R&D", "Tom (Work)", "a^b", "x,y;z=1", "ü 用户"):
    (root / name).mkdir()
    record = ended(launch(root / name / "x-1", b"echo ran\nexit /b 3"))
    print(name, record.exit_code, record.output.merged())
""")
    assert len(told) == 6
    assert [line for line in told if not line.endswith(r" 3 b'ran\r\n'")] == []
