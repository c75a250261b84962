"""What the agent itself costs its machine has an end, and its scripts do not pay for that."""

import json
import re
import socket
import threading
from pathlib import Path

import pytest

from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System

CANARY = "canary-7f3a9c"


def test_an_agent_over_its_memory_starts_anew_and_its_script_goes_on(system: System, tmp_path: Path) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    tight = {"CLOUD_ASSISTANT_AGENT_MEMORY_LIMIT_BYTES": "1000000", "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "1"}
    agent = system.start_agent("i-one", environment=tight)
    script = f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.1; done; echo finished"
    invoked = system.assist("run", script, "--all", "--no-wait", "--output", "json").json
    eventually(begun.exists, 20, "the script runs")

    assert agent.wait(30) == 75
    assert "scripts go on" in agent.log()
    system.start_agent("i-one")
    gate.touch()

    def finished() -> bool:
        shown = system.assist("invocation", "results", invoked["InvokeId"], "--output", "json").json
        return bool(shown["InvocationResults"][0]["Output"] == "finished\n")

    eventually(finished, 20, "the result of the script that went on")


def test_no_log_holds_what_scripts_say_or_get(system: System) -> None:
    agent = system.start_agent("i-one", environment={"CLOUD_ASSISTANT_AGENT_LOG_LIMIT_BYTES": "100000"})
    for script in (f"echo {CANARY}", f"echo {CANARY} >&2; exit 3", f"{CANARY}-no-such-program"):
        system.assist("run", script, "--all", "--parameter", f"secret={CANARY}")
    system.assist("run", f"#!/no/such/{CANARY}\n", "--all")

    lines = (agent.home / "log" / "agent.log").read_text(encoding="utf-8").splitlines()
    assert any("agent ready" in line for line in lines)
    for line in lines:
        assert {"time", "level", "message"} <= set(json.loads(line))
    assert CANARY not in agent.log() + "\n".join(lines)


def test_the_control_side_is_told_what_machine_it_is(system: System) -> None:
    system.start_agent("i-one", environment={"CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "1"})
    (shown,) = system.assist("instance", "list", "--output", "json").json

    assert shown["Hostname"] == socket.gethostname()
    assert shown["MemoryBytes"] > 100_000_000
    assert shown["ProcessorCount"] >= 1
    assert shown["DiskFreeBytes"] > 0
    eventually(
        lambda: system.assist("instance", "list", "--output", "json").json[0]["AgentMemoryBytes"] > 1_000_000,
        10,
        "the agent's own use",
    )
    assert re.search(r"Kernel\s+\S", system.assist("instance", "show", "i-one").stdout)


@pytest.mark.parametrize("is_redis_there", [True, False])
def test_the_service_manager_hears_of_the_agent_whether_redis_is_there_or_not(
    system: System, redis_server: RedisServer, tmp_path: Path, is_redis_there: bool
) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = tmp_path / "notify"
        manager.bind(str(address))
        manager.settimeout(20)

        def listen() -> None:
            while not heard or heard[-1] != b"STOPPING=1":
                heard.append(manager.recv(200))

        listening = threading.Thread(target=listen)
        listening.start()
        system.environment["NOTIFY_SOCKET"] = str(address)
        if is_redis_there:
            agent = system.start_agent("i-one")
            eventually(lambda: b"STATUS=takes work as i-one" in heard, 20, "the agent says that it takes work")
        else:
            redis_server.kill()
            with pytest.raises(AssertionError):
                system.start_agent("i-one", ready_within_seconds=3)
            agent = system.agents["i-one"]
        eventually(lambda: b"WATCHDOG=1" in heard, 20, "the watchdog is fed")
        agent.stop()
        listening.join(20)

    assert b"READY=1" in heard
    assert heard[-1] == b"STOPPING=1"
