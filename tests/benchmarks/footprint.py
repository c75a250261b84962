"""One agent that has nothing to do, and one with its slots full: memory, connections, commands, CPU, start."""

import contextlib
import socket
import time
from pathlib import Path

from benchmarks.figures import Figure, Scale, at_most, of_runs
from benchmarks.rig import Rig

from cloud_assistant.producer.fleet.targets import Targets
from harness import proc
from harness.eventually import always, eventually
from harness.system import Agent

INSTANCE = "i-bench"
SLOT_COUNT = 10
#: Until it is calm after its start: the second look at the ledger, and idle connections closed.
_CALM_SECONDS = 55


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """A fresh agent of one run, which has run one script before it is measured."""
    with Rig(folder) as rig:
        starts = []
        for number in range(scale.run_count):
            began = time.perf_counter()
            agent = rig.start_agent(f"{INSTANCE}{number}")
            starts.append(time.perf_counter() - began)
            if number < scale.run_count - 1:
                agent.stop()
        instance_id = agent.instance_id
        _run(rig, instance_id, "true")
        always(lambda: agent.is_running, scale.of(_CALM_SECONDS, 0), "the agent calms down", every_seconds=1)
        private_mb, alone_mb = private_bytes(agent) / 1e6, agent.uss_bytes / 1e6
        clients = rig.assistant.redis.call("CLIENT", "LIST").decode().splitlines()
        connections = sum(f"user=ca-agent-{instance_id} " in line for line in clients)
        idle = _idle(rig, agent, scale.of(100.0, 0.6))
        busy = _busy_mb(rig, agent) - private_mb
    return [
        of_runs("agent, start to ready", "s", starts, goal=at_most(1)),
        Figure("agent, private memory idle", "MB", alone_mb),
        Figure(
            "agent, private memory idle, with fork server and waiting supervisor", "MB", private_mb, goal=at_most(35)
        ),
        Figure(f"agent, memory per running script, {SLOT_COUNT} at once", "MB", busy / SLOT_COUNT, goal=at_most(4)),
        Figure("agent, Redis connections idle", "", connections, goal=at_most(2)),
        *idle,
    ]


def private_bytes(agent: Agent) -> int:
    """What would be free again if the agent and all below it ended, the scripts themselves left out."""
    family = [agent.pid, *(one.pid for one in agent.tree() if "python" in one.command)]
    return sum(proc.uss_bytes(pid) for pid in family)


def _idle(rig: Rig, agent: Agent, seconds: float) -> list[Figure]:
    # Supervisors and the fork server sleep without a timeout; the agent's own ticks are all there is.
    cpu = agent.cpu_seconds
    count = _commands(rig, seconds)
    spent = agent.cpu_seconds - cpu
    return [
        Figure("agent, commands idle", "/s", count / seconds, goal=at_most(0.2)),
        Figure("agent, idle CPU", "%", 100 * spent / seconds, goal=at_most(0.05)),
    ]


def _commands(rig: Rig, seconds: float) -> int:
    """Count what the one agent sends; nobody else says anything, and what functions call inside Redis is not sent."""
    seen = b""
    with socket.create_connection(("127.0.0.1", rig.server.port)) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        monitor.settimeout(0.5)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                seen += monitor.recv(65536)
    return sum(b"[0 " in line and b" lua]" not in line for line in seen.splitlines())


def _busy_mb(rig: Rig, agent: Agent) -> float:
    gate = rig.folder / "gate"
    script = f"until [ -e {gate} ]; do sleep 0.2; done"
    running = [
        rig.assistant.run_command(script, Targets(instance_ids=[agent.instance_id])).invoke_id
        for _ in range(SLOT_COUNT)
    ]
    eventually(lambda: sum("script.sh" in one.command for one in agent.tree()) >= SLOT_COUNT, 20, "all scripts run")
    busy = private_bytes(agent) / 1e6
    gate.touch()
    for invoke_id in running:
        rig.assistant.wait(invoke_id, timeout_seconds=30)
    return busy


def _run(rig: Rig, instance_id: str, script: str) -> None:
    invoked = rig.assistant.run_command(script, Targets(instance_ids=[instance_id]))
    rig.assistant.wait(invoked.invoke_id, timeout_seconds=30)
