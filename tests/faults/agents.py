"""Agents of the fault tests: some that die at a named point, some on a machine that seems to have been restarted."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from cloud_assistant.worker.execution.record import load_start
from harness.eventually import eventually
from harness.needs import skip_without
from harness.proc import process
from harness.processes import Program, clean_environment, installed_program
from harness.system import System

#: Tenths of seconds instead of tens of seconds between looks at the ledger.
QUICK = {
    "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.5",
    "CLOUD_ASSISTANT_AGENT_RECONCILE_SECONDS": "0.5",
    "CLOUD_ASSISTANT_AGENT_GRACE_SECONDS": "0.5",
}
_CRASHING_AGENT = Path(__file__).with_name("crashing_agent.py")


def start_crashing_agent(system: System, point: str, instance_id: str = "i-one") -> Program:
    """Start an agent that kills itself when it comes to this point, and wait until it takes work."""
    return _start(system, [sys.executable, _CRASHING_AGENT, point, "run"], instance_id)


def start_agent_after_reboot(system: System, instance_id: str = "i-one") -> Program:
    """Start an agent that, with all it starts, sees another boot id: a bind mount in a mount namespace of its own."""
    fresh = system.folder / "boot_id"
    fresh.write_text(f"{uuid.uuid4()}\n")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        skip_without("the right to make a mount namespace", "Run these tests as root in a container.")
    mount = f'mount --bind "{fresh}" /proc/sys/kernel/random/boot_id && exec "$@"'
    agent: list[str | Path] = ["unshare", "-m", "sh", "-c", mount, "sh", installed_program("assist-agent"), "run"]
    return _start(system, agent, instance_id)


def kill_supervisor(system: System, execution_id: str, instance_id: str = "i-one") -> None:
    """SIGKILL the supervisor of a running execution."""
    folder = system.folder / instance_id / "spool" / execution_id
    start = eventually(lambda: load_start(str(folder)), 10, "the start is on disk")
    os.kill(start.supervisor_pid, signal.SIGKILL)


def kill_machine(agent: Program) -> None:
    """SIGKILL the agent and all that it started, as the end of a machine does."""
    tree = agent.tree()
    agent.sigkill()
    for info in tree:
        try:
            os.kill(info.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    eventually(lambda: not any((found := process(one.pid)) and not found.is_zombie for one in tree), 10, "all is dead")


def _start(system: System, argv: Sequence[str | Path], instance_id: str) -> Program:
    home = system.folder / instance_id
    program = Program(
        argv,
        env=clean_environment(
            home,
            {
                "CLOUD_ASSISTANT_REDIS_URL": system.redis_url,
                "CLOUD_ASSISTANT_HOME": str(home),
                "CLOUD_ASSISTANT_INSTANCE_ID": instance_id,
                **system.environment,
            },
        ),
        cwd=home,
        log_path=home / "agent.log",
        name=f"agent {instance_id}",
    )
    system.programs.append(program)
    return program.start(ready="agent ready")
