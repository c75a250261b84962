"""The SysV script, run for real with the agent of this environment."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud_assistant.worker.service.catalogue import SYSTEMS
from cloud_assistant.worker.service.plan import ServicePlan
from harness import proc, reaper
from harness.eventually import eventually
from harness.processes import installed_program
from harness.redis_server import RedisServer
from harness.system import System

INSTANCE = "i-sysv"


class InitScript:
    """One machine's script with its folders."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.home, self.config = folder / "home", folder / "config.toml"
        self.redis_url = redis_url
        plan = ServicePlan(
            program=str(installed_program("assist-agent")),
            config=str(self.config),
            home=str(self.home),
            log_folder=str(folder / "log"),
        )
        self.path = folder / "init-script"
        self.path.write_text(SYSTEMS["sysv"].files(plan)[0].text, encoding="utf-8")
        self.path.chmod(0o755)

    def write_config(self, text: str = "") -> None:
        settings = (
            f'redis_url = "{self.redis_url}"\ninstance_id = "{INSTANCE}"\n[agent]\naccept_unsigned = true\n{text}'
        )
        self.config.write_text(settings, encoding="utf-8")

    def run(self, action: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        environment |= {"PATH": os.defpath, "ASSIST_AGENT_PID_FILE": str(self.folder / "agent.pid")}
        return subprocess.run(
            [self.path, action], capture_output=True, text=True, check=False, timeout=40, env=environment
        )

    def agent_pid(self) -> int | None:
        """The process of the agent, which is a child of the keeper."""
        keeper = int((self.folder / "agent.pid").read_text(encoding="ascii"))
        found = [info.pid for info in proc.descendants_of(keeper) if "assist-agent run" in info.command]
        return found[0] if found else None


@pytest.fixture
def script(tmp_path: Path, redis_server: RedisServer) -> Iterator[InitScript]:
    folder = tmp_path / "machine"
    folder.mkdir()
    made = InitScript(folder, redis_server.url())
    yield made
    made.run("stop")
    reaper.kill_users_of(folder)


def test_it_starts_restarts_and_stops_the_agent_and_no_script_ends(script: InitScript, system: System) -> None:
    script.write_config()
    assert script.run("start").returncode == 0
    assert script.run("status").returncode == 0
    assert "runs already" in script.run("start").stdout
    begun, gate = script.folder / "begun", script.folder / "gate"
    command = f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.1; done; echo finished"
    eventually(lambda: system.assist("instance", "list").stdout.count(INSTANCE), 20, "the agent is there")
    invoked = system.assist("run", command, "--instance", INSTANCE, "--no-wait", "--output", "json").json
    eventually(begun.exists, 20, "the script runs")

    assert script.run("restart").returncode == 0
    gate.touch()
    eventually(
        lambda: "finished" in system.assist("invocation", "results", invoked["InvokeId"], "--output", "json").stdout,
        20,
        "the result of the script that went on",
    )
    stopped = script.run("stop")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert script.run("status").returncode == 3


def test_it_starts_the_agent_again_when_that_dies(script: InitScript) -> None:
    script.write_config()
    script.run("start")
    first = eventually(script.agent_pid, 20, "the agent runs")
    os.kill(first, 9)

    eventually(lambda: script.agent_pid() not in (None, first), 20, "another agent runs")


@pytest.mark.parametrize("left_by_a_killed_one", [False, True])
def test_of_two_starts_at_once_one_keeps_the_agent_and_the_other_is_gone(
    script: InitScript, *, left_by_a_killed_one: bool
) -> None:
    script.write_config()
    if left_by_a_killed_one:
        (script.folder / "agent.pid").write_text("999999999\n")
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(script.run, ["start", "start"]))
    assert [one.returncode for one in outcomes] == [0, 0], outcomes

    def keepers() -> list[int]:
        return [one.pid for one in proc.processes_using(script.folder) if one.command.endswith(" keep")]

    eventually(lambda: keepers() == [int((script.folder / "agent.pid").read_text())], 20, "one keeper")
    eventually(script.agent_pid, 20, "the agent runs")
    assert script.run("stop").returncode == 0
    assert keepers() == []
    assert list(script.folder.glob("agent*.pid*")) == []


def test_a_number_that_is_somebody_elses_by_now_is_no_agents(script: InitScript) -> None:
    script.write_config()
    with subprocess.Popen(["sleep", "60"]) as other:
        (script.folder / "agent.pid").write_text(f"{other.pid}\n")
        assert script.run("status").returncode == 3
        assert script.run("stop").returncode == 0
        (script.folder / "agent.pid").write_text(f"{other.pid}\n")
        assert script.run("start").returncode == 0
        eventually(script.agent_pid, 20, "the agent runs")
        assert other.poll() is None
        other.kill()


def test_state_and_log_are_the_agents_alone(script: InitScript) -> None:
    script.write_config()
    script.home.mkdir(mode=0o755)
    script.run("start")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (script.home, script.folder / "log")]
    assert modes == [0o700, 0o700]


def test_an_agent_that_hangs_is_replaced_at_a_restart(script: InitScript) -> None:
    script.write_config()
    script.run("start")
    hung = eventually(script.agent_pid, 20, "the agent runs")
    os.kill(hung, signal.SIGSTOP)

    restarted = script.run("restart")

    assert restarted.returncode == 0, restarted.stdout + restarted.stderr
    eventually(lambda: script.agent_pid() not in (None, hung), 20, "another agent runs")
    assert proc.process(hung) is None


def test_the_environment_of_who_starts_it_does_not_reach_the_agent(script: InitScript) -> None:
    script.write_config()
    script.run("start", CLOUD_ASSISTANT_INSTANCE_ID="i-other", CLOUD_ASSISTANT_REDIS_URL="redis://127.0.0.1:1/0")
    agent = eventually(script.agent_pid, 20, "the agent runs")

    assert b"CLOUD_ASSISTANT_INSTANCE_ID" not in Path(f"/proc/{agent}/environ").read_bytes()


def test_the_file_beside_the_agents_log_does_not_grow(script: InitScript) -> None:
    script.write_config()
    (script.folder / "log").mkdir()
    beside = script.folder / "log/service.log"
    beside.write_text("said by a start that failed\n" * 10_000, encoding="utf-8")
    script.run("start")
    log = script.folder / "log/agent.log"
    eventually(lambda: log.exists() and "agent ready" in log.read_text(encoding="utf-8"), 20, "the agent is there")

    assert beside.read_text(encoding="utf-8") == ""


def test_without_the_program_nothing_is_started(script: InitScript) -> None:
    script.write_config()
    text = script.path.read_text(encoding="utf-8")
    script.path.write_text(
        text.replace(str(installed_program("assist-agent")), "/nowhere/assist-agent"), encoding="utf-8"
    )

    outcome = script.run("start")

    assert outcome.returncode == 0
    assert "there is no /nowhere/assist-agent" in outcome.stdout
    assert script.run("status").returncode == 3


def test_without_credentials_nothing_is_started(script: InitScript) -> None:
    outcome = script.run("start")

    assert outcome.returncode == 0
    assert f"there is no {script.config}" in outcome.stdout
    assert script.run("status").returncode == 3


def test_a_wrong_setting_is_not_tried_again_and_again(script: InitScript) -> None:
    script.write_config("slots = 'many'\n")
    script.run("start")

    eventually(lambda: script.run("status").returncode == 3, 20, "the keeper gives up")
    assert "agent.slots must be a whole number" in (script.folder / "log/service.log").read_text(encoding="utf-8")
