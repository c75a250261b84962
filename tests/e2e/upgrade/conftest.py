"""A machine with a bundle installed, its agent running from it with credentials, and a publisher that it trusts."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import archive_of, install

from cloud_assistant.broker_config.releases.publisher_keys import public_text
from cloud_assistant.worker.upgrade.upgrade_state import UpgradeState, read_state
from harness.eventually import eventually
from harness.processes import Program, clean_environment
from harness.redis_server import RedisServer
from harness.system import Outcome, System

#: Generous: the machine that runs the tests may be busy with others.
WITHIN_SECONDS = 60.0


@dataclass
class Machine:
    """One instance that may upgrade itself."""

    system: System
    instance_id: str
    folder: Path
    key: Ed25519PrivateKey
    agent: Program

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def install_folder(self) -> Path:
        return self.folder / "opt"

    @property
    def current(self) -> str:
        return (self.install_folder / "current").readlink().name

    @property
    def state(self) -> UpgradeState:
        return read_state(self.home)

    def environment(self) -> dict[str, str]:
        return {
            "CLOUD_ASSISTANT_HOME": str(self.home),
            "CLOUD_ASSISTANT_AGENT_INSTALL_FOLDER": str(self.install_folder),
            "CLOUD_ASSISTANT_AGENT_PUBLISHERS_FOLDER": str(self.folder / "publishers"),
            "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.3",
        }

    def archive(self, version: str, behaviour: str = "good", padding_bytes: int = 0) -> Path:
        return archive_of(self.folder, version, self.key, behaviour, padding_bytes)

    def upgrade(self, *words: str | Path) -> Outcome:
        """Call ``assist-agent upgrade`` as the owner of the machine does."""
        program = self.install_folder / "current" / "bin" / "assist-agent"
        arguments = tuple(str(word) for word in words)
        done = subprocess.run(
            [program, "upgrade", *arguments],
            env=clean_environment(self.folder, self.environment()),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Outcome(arguments, done.returncode, done.stdout, done.stderr)

    def reported(self) -> tuple[str, str]:
        """The version and the stage of the upgrade that the control side sees."""
        with self.system.operator() as operator:
            (found,) = operator.describe_instances().items
        return found.report.get("agent_version", ""), found.report.get("upgrade_stage", "")

    def settled(self, version: str, stage: str, current: str) -> bool:
        """Whether the last upgrade ended so, and the agent that should run takes work."""
        state = self.state
        return (state.version, state.stage, self.current) == (version, stage, current)

    def wait_until_settled(self, version: str, stage: str, current: str) -> None:
        eventually(lambda: self.settled(version, stage, current), within_seconds=WITHIN_SECONDS)

    def runs(self, version: str) -> bool:
        """Whether an agent of this version executes what it is sent."""
        done = self.system.assist("run", "echo done", "--instance", self.instance_id, "--output", "json")
        assert done.exit_code == 0, str(done)
        (shown,) = self.system.assist("instance", "list", "--output", "json").must_succeed().json
        return bool(shown["AgentVersion"] == version)


@pytest.fixture
def machine(redis_server: RedisServer, tmp_path: Path) -> Iterator[Machine]:
    key = Ed25519PrivateKey.generate()
    folder = tmp_path / "machine"
    (folder / "publishers").mkdir(parents=True, mode=0o755)
    (folder / "publishers" / "us.pub").write_text(public_text(key.public_key()))
    install(folder / "opt", "1.0.0")
    system = System(tmp_path / "system", redis_server.url())
    credentials = tmp_path / "i-one.toml"
    try:
        system.register_with_credentials("i-one", credentials)
        agent = Program(
            [folder / "opt" / "current" / "bin" / "assist-agent", "run", "--config", credentials],
            env={},
            cwd=folder,
            log_path=folder / "agent.log",
            name="agent i-one",
        )
        made = Machine(system, "i-one", folder, key, agent)
        agent.env = clean_environment(folder, made.environment())
        system.programs.append(agent)
        agent.start(ready=r"agent ready.*version=1\.0\.0")
        yield made
    finally:
        system.stop()
