"""Scripts in a Python for Windows under Wine, without an agent around them."""

from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]


def test_a_batch_file_runs_wherever_the_home_lies(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
for name in ("a b", "R&D", "Tom (Work)", "a^b", "x,y;z=1", "ü 用户"):
    (root / name).mkdir()
    record = ended(launch(root / name / "x-1", b"echo ran\nexit /b 3"))
    print(name, record.exit_code, record.output.merged())
""")
    assert len(told) == 6
    assert [line for line in told if not line.endswith(r" 3 b'ran\r\n'")] == []


def test_a_script_that_cannot_be_put_into_its_job_leaves_no_process(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
import subprocess
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.windows import job as windows_job
real, made = windows_job.call, []

def refuse(library, name, *arguments, **values):
    if name == "AssignProcessToJobObject":
        raise OSError("access denied")
    return real(library, name, *arguments, **values)

class Popen(subprocess.Popen):
    def __init__(self, *arguments, **values):
        super().__init__(*arguments, **values)
        made.append(self)

windows_job.call, subprocess.Popen = refuse, Popen
try:
    launch(root / "x-1", b"echo ran")
except NotStarted as exc:
    print(exc.error_info)
print([one.poll() is None for one in made])
""")
    assert "could not be started: access denied" in told[0]
    assert told[1] == "[False]"


def test_a_launcher_gets_the_script_as_it_was_given(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
content = b"import sys\nsys.stdout.buffer.write(b'\\0\\xff' + sys.argv[0][-9:].encode())\nsys.exit(4)\n"
launcher_line = f'"{sys.executable}" ' + '{{ACS::ScriptFileName|Ext(".py")}}'
script = Script(
    execution_id="x-1", instance_id="i-1", invoke_id="t-1", command_id="c-1", command_name="n",
    script_type="RunBatScript", content=content, launcher=launcher_line,
)
record = ended(launcher.launch(prepare(script, root / "x-1", os.environ)))
print(record.exit_code, record.output.merged())
""")
    assert told == [r"4 b'\x00\xffscript.py'"]


def test_the_agent_knows_its_user_without_being_told(on_windows: Callable[[str], list[str]]) -> None:
    """A service need not have its name in the environment."""
    told = on_windows(r"""
from cloud_assistant.worker.execution.this_system import own_user_name
from cloud_assistant.worker.identity import identify
named = os.environ["USERNAME"]
for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
print(own_user_name() == named, identify("i-win", root).fields(slots=1)["user"] == named)
""")
    assert told == ["True True"]
