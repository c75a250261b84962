"""An agent for Windows beside the control side of a test."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.agent.operator_side import Operator
from windows.windows_python import WINE, python_exe

from harness.processes import clean_environment
from harness.redis_server import RedisServer
from harness.system import Agent

INSTANCE = "i-win"
_PROGRAM = "from cloud_assistant.worker.entry import main; main()"
#: What lines of Python that a test runs there find ready.
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
#: Python under Wine wants a pipe, no file, for what it prints.
_INTO_PIPE = 'exec "$@" > >(exec cat) 2>&1'


@pytest.fixture(scope="session")
def python() -> Iterator[Path]:
    """The interpreter for Windows."""
    yield python_exe()
    subprocess.run(["wineserver", "-k"], env={"PATH": "/usr/bin:/bin", **WINE}, check=False)


@pytest.fixture
def operator(redis_server: RedisServer) -> Iterator[Operator]:
    """The control side."""
    control = Operator(redis_server.url())
    control.register(INSTANCE)
    yield control
    control.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The state folder of the agent."""
    return tmp_path / "home"


@pytest.fixture
def environment(redis_server: RedisServer, python: Path, home: Path) -> dict[str, str]:
    """What a program of the agent is started with."""
    return clean_environment(
        home.parent,
        {
            **WINE,
            "CLOUD_ASSISTANT_REDIS_URL": redis_server.url(),
            "CLOUD_ASSISTANT_INSTANCE_ID": INSTANCE,
            "CLOUD_ASSISTANT_HOME": as_windows(home),
            "CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true",
            "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.5",
            "CLOUD_ASSISTANT_AGENT_RECONCILE_SECONDS": "0.5",
        },
    )


@pytest.fixture
def start_agent(python: Path, home: Path, environment: dict[str, str]) -> Iterator[Callable[[], Agent]]:
    """Start the agent, again where it was killed, and wait until it takes work."""
    started: list[Agent] = []

    def start() -> Agent:
        argv: list[str | Path] = ["bash", "-c", _INTO_PIPE, "agent", "wine", python, "-c", _PROGRAM, "run"]
        agent = Agent(argv, env=environment, cwd=home.parent, log_path=home.parent / "agent.log", name="agent i-win")
        started.append(agent)
        return agent.start(ready="agent ready", within_seconds=40)

    yield start
    for agent in started:
        agent.stop()


@pytest.fixture
def verb(python: Path, environment: dict[str, str]) -> Callable[..., str]:
    """Run one verb of the agent's program to its end, and return what it printed."""

    def run(*words: str) -> str:
        command = ["wine", str(python), "-c", _PROGRAM, *words]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
        )
        return (done.stdout + done.stderr).decode("utf-8", "replace").replace("\r\n", "\n")

    return run


@pytest.fixture
def on_windows(python: Path, environment: dict[str, str], tmp_path: Path) -> Callable[[str], list[str]]:
    """Run lines of Python there, with ``launch``, ``ended`` and the folder ``root``; answers the lines they print."""

    def run(lines: str) -> list[str]:
        command = ["wine", str(python), "-X", "utf8", "-c", _BEGIN + lines, as_windows(tmp_path)]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")
        return done.stdout.decode().splitlines()

    return run


def as_windows(path: Path) -> str:
    """The name under which Wine shows a path of this system."""
    return "Z:" + str(path).replace("/", "\\")
