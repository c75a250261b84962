"""A fleet for the tests of the command line: a real server and two real agents, shared by the tests of one file."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.producer import RunOptions, Targets
from cloud_assistant.producer.invocations.describing import InvocationFilter
from harness.processes import clean_environment
from harness.redis_server import RedisServer
from harness.system import Outcome, System


class Fleet:
    """Two instances, ``i-web1`` and ``i-web2``, both tagged ``env=test``, and an operator's shell."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system = system
        self.folder = folder
        self.environment = clean_environment(
            folder,
            # The home of `assist` as the system runs it: one operator has one master key, or none.
            {"CLOUD_ASSISTANT_REDIS_URL": system.redis_url, "CLOUD_ASSISTANT_HOME": str(system.folder / "operator")},
        )

    def assist(self, *arguments: str, input: str | bytes | None = None, within_seconds: float = 30) -> Outcome:
        """Run ``assist`` to its end."""
        return self.system.assist(*arguments, input=input, within_seconds=within_seconds)

    def shell(self, line: str, within_seconds: float = 30) -> Outcome:
        """Run a line as an operator's shell would, ``PIPESTATUS`` and all."""
        outcome = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_seconds,
            check=False,
        )
        out, err = outcome.stdout.decode("utf-8", "replace"), outcome.stderr.decode("utf-8", "replace")
        return Outcome((line,), outcome.returncode, out, err)

    def gate(self, name: str) -> Path:
        """A file that scripts wait for with ``waiting_for``; touching it lets them go on."""
        return self.folder / f"{name}.gate"

    def start(self, script: str, *instance_ids: str, frequency: str = "") -> str:
        """Have a script run, on all where none is named, and answer the invocation's id; not through ``assist``."""
        targets = Targets(instance_ids=instance_ids, everything=not instance_ids)
        schedule = Schedule(repeat_mode=RepeatMode.PERIOD, frequency=frequency) if frequency else Schedule()
        with self.system.operator() as operator:
            return operator.run_command(script, targets, RunOptions(schedule=schedule)).invoke_id

    def state_of(self, invoke_id: str) -> str:
        """The state of an invocation, for those who wait for one; not through ``assist``."""
        with self.system.operator() as operator:
            (found,) = operator.describe_invocations(InvocationFilter(invoke_id=invoke_id)).items
        return found.status.state.value


def waiting_for(gate: Path) -> str:
    """Shell text that waits until a gate is there; the agents are on this very machine."""
    return f"until test -e {gate}; do sleep 0.1; done"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with RedisServer(folder / "redis") as server:
        # No keys here: what is signed and refused has tests of its own.
        environment = {"CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true"}
        system = System(folder / "system", server.url(), environment)
        try:
            for instance_id in ("i-web1", "i-web2"):
                system.start_agent(instance_id)
                with system.operator() as operator:
                    operator.modify_instance(instance_id, tags={"env": "test"})
            (folder / "operator").mkdir()
            yield Fleet(system, folder / "operator")
        finally:
            system.stop()
