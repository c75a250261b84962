"""Agents of the fault tests: some that die at a named point, some on a machine that seems to have been restarted."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from cloud_assistant.worker.execution.proc_table import carries_variable
from cloud_assistant.worker.execution.record import StartRecord, load_start
from harness.eventually import eventually
from harness.needs import skip_without
from harness.proc import ProcessInfo, all_processes, process, send
from harness.processes import Program, clean_environment, installed_program
from harness.system import System

#: Tenths of seconds instead of tens of seconds between looks at the ledger.
QUICK = {
    "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.5",
    "CLOUD_ASSISTANT_AGENT_RECONCILE_SECONDS": "0.5",
    "CLOUD_ASSISTANT_AGENT_GRACE_SECONDS": "0.5",
    # Signatures are not what these tests are about.
    "CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true",
}
READY = "agent ready"
_CRASHING_AGENT = Path(__file__).with_name("crashing_agent.py")
_CRASHING_BEAT = Path(__file__).with_name("crashing_beat.py")


def start_crashing_agent(
    system: System,
    point: str,
    instance_id: str = "i-one",
    *,
    redis_url: str = "",
    boot_file: Path | None = None,
    ready: str | None = READY,
    credentials: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Start an agent that kills itself when it comes to this point; wait until it takes work, unless told not to."""
    argv = in_boot(boot_file, [sys.executable, _CRASHING_AGENT, point, "run"])
    return start(
        system,
        argv,
        instance_id,
        redis_url=redis_url,
        ready=ready,
        credentials=credentials,
        environment=environment,
    )


def start_crashing_beat(system: System, point: str) -> Program:
    """Start a beat that kills itself when it comes to this point, and wait until it schedules."""
    home = system.folder / "crashing-beat"
    beat = Program(
        [sys.executable, _CRASHING_BEAT, point],
        env=clean_environment(
            home,
            {
                "CLOUD_ASSISTANT_REDIS_URL": system.redis_url,
                "CLOUD_ASSISTANT_HOME": str(home),
                "PYTHONPATH": str(_CRASHING_BEAT.parents[1]),
                **system.environment,
            },
        ),
        cwd=home,
        log_path=home / "beat.log",
        name="crashing beat",
    )
    system.programs.append(beat)
    return beat.start(ready="beat ready")


def start_agent_after_reboot(system: System, instance_id: str = "i-one") -> Program:
    """Start an agent that, with all it starts, sees another boot id."""
    return start(system, in_boot(make_boot(system.folder), [installed_program("assist-agent"), "run"]), instance_id)


def make_boot(folder: Path) -> Path:
    """A file that holds a boot id of its own."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        skip_without("the right to make a mount namespace", "Run these tests as root in a container.")
    fresh = folder / f"boot-{uuid.uuid4()}"
    fresh.write_text(f"{uuid.uuid4()}\n")
    return fresh


def in_boot(boot_file: Path | None, argv: Sequence[str | Path]) -> list[str | Path]:
    """The command line that runs a program with this boot id: a bind mount in a mount namespace of its own."""
    if boot_file is None:
        return list(argv)
    mount = f'mount --bind "{boot_file}" /proc/sys/kernel/random/boot_id && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, "sh", *argv]


def kill_supervisor(system: System, execution_id: str, instance_id: str = "i-one") -> None:
    """SIGKILL the supervisor of a running execution."""
    folder = system.folder / instance_id / "spool" / execution_id
    start = eventually(lambda: load_start(str(folder)), 10, "the start is on disk")
    os.kill(start.supervisor_pid, signal.SIGKILL)


def kill_machine(agent: Program, home: Path) -> None:
    """SIGKILL the agent and all that it, or an earlier agent of this home, has started."""
    tree = agent.tree() if agent.is_running else []
    agent.sigkill()
    for info in tree:
        send(info, signal.SIGKILL)
    folders = list((home / "spool").glob("*"))
    for folder in folders:
        start = load_start(str(folder))
        if start is not None and (supervisor := supervisor_of(start)):
            send(supervisor, signal.SIGKILL)
    # By execution: other tests have instances of the same name.
    for info in all_processes():
        if any(carries_variable(info.pid, f"CA_EXECUTION_ID={folder.name}".encode()) for folder in folders):
            send(info, signal.SIGKILL)
    eventually(lambda: not any((found := process(one.pid)) and not found.is_zombie for one in tree), 10, "all is dead")


def supervisor_of(start: StartRecord) -> ProcessInfo | None:
    """The supervisor that has claimed an execution, if it still lives."""
    found = process(start.supervisor_pid)
    return found if found and found.start_ticks == start.supervisor_start_ticks else None


def start(
    system: System,
    argv: Sequence[str | Path],
    instance_id: str,
    *,
    redis_url: str = "",
    ready: str | None = READY,
    credentials: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Start a program as the agent of an instance, and wait until it takes work, unless told not to.

    With a file of credentials it has nothing else to know who it is and where Redis is.
    """
    home = system.folder / instance_id
    known = {"CLOUD_ASSISTANT_HOME": str(home), **system.environment, **(environment or {})}
    if credentials is None:
        known["CLOUD_ASSISTANT_REDIS_URL"] = redis_url or system.redis_url
        known["CLOUD_ASSISTANT_INSTANCE_ID"] = instance_id
    else:
        del known["CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED"]
        argv = [*argv, "--config", credentials]
    program = Program(
        argv,
        env=clean_environment(home, known),
        cwd=home,
        log_path=home / "agent.log",
        name=f"agent {instance_id}",
    )
    system.programs.append(program)
    return program.start(ready=ready)
