"""The whole product on one machine: real agents, beats, a gateway and the command line, against one Redis."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloud_assistant.broker_config.settings import load
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.invocations.describing import InvocationFilter
from harness import reaper
from harness.eventually import eventually
from harness.ports import reserve_port
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer


@dataclass(frozen=True)
class Outcome:
    """How one call of the command line ended."""

    arguments: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON; the failure shows all of it when it is not."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError as exc:
            raise AssertionError(f"no JSON ({exc}) from {self}") from exc

    def must_succeed(self) -> "Outcome":
        """Return itself when the exit code is 0, else fail with everything it said."""
        assert self.exit_code == 0, str(self)
        return self

    def __str__(self) -> str:
        return f"assist {' '.join(self.arguments)} → {self.exit_code}\n{self.stdout}\n{self.stderr}"


class Agent(Program):
    """A running agent with the instance it stands for and its private state folder (CLOUD_ASSISTANT_HOME)."""

    instance_id: str
    home: Path


class Gateway(Program):
    """A running gateway and where it listens."""

    url: str


class System:
    """Programs of the product with private homes under one folder, all ended by ``stop``.

    ``environment`` reaches every program; it may be changed between starts. Agents run without credentials, by the
    setting that this needs, unless they are started with a file of them.
    """

    def __init__(self, folder: Path, redis_url: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.environment = {"CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true", **(environment or {})}
        self.agents: dict[str, Agent] = {}
        self.programs: list[Program] = []
        self._operator_home = folder / "operator"
        self._operator_home.mkdir(mode=0o700, parents=True)
        self._cleanup = contextlib.ExitStack()

    @classmethod
    def on(cls, redis_server: RedisServer, folder: Path) -> "System":
        return cls(folder, redis_server.url())

    # Start and stop

    def start_agent(
        self,
        instance_id: str = "i-one",
        *,
        redis_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        ready_within_seconds: float = 20,
        credentials: Path | None = None,
    ) -> Agent:
        """Start an agent and wait until it takes work; a second start of one instance id uses the same home.

        With ``credentials`` it has nothing else to know who it is and where Redis is.
        """
        home = self.folder / instance_id
        given = self._environment(home, redis_url, {"CLOUD_ASSISTANT_INSTANCE_ID": instance_id, **(environment or {})})
        argv: list[str | Path] = [installed_program("assist-agent"), "run"]
        if credentials is not None:
            argv += ["--config", credentials]
            for name in ("REDIS_URL", "INSTANCE_ID", "AGENT_ACCEPT_UNSIGNED"):
                del given[f"CLOUD_ASSISTANT_{name}"]
        agent = Agent(
            argv,
            env=given,
            cwd=home,
            log_path=home / "agent.log",
            name=f"agent {instance_id}",
        )
        agent.instance_id, agent.home = instance_id, home
        self.programs.append(agent)
        self.agents[instance_id] = agent
        agent.start(
            ready=rf"agent ready.*instance_id={re.escape(instance_id)}(?!\S)", within_seconds=ready_within_seconds
        )
        return agent

    def start_beat(
        self, name: str = "beat", *, redis_url: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Program:
        """Start a beat and wait until it schedules; several may run under different names."""
        home = self.folder / name
        beat = Program(
            [installed_program("assist-beat")],
            env=self._environment(home, redis_url, environment),
            cwd=home,
            log_path=home / "beat.log",
            name=name,
        )
        self.programs.append(beat)
        return beat.start(ready=r"beat ready")

    def start_gateway(self, *, redis_url: str | None = None, environment: Mapping[str, str] | None = None) -> Gateway:
        """Start a gateway on a free loopback port and wait until it listens."""
        home = self.folder / "gateway"
        reserved = reserve_port()
        self._cleanup.callback(reserved.release)
        port = str(reserved.number)
        gateway = Gateway(
            [installed_program("assist-gateway")],
            env=self._environment(home, redis_url, {"CLOUD_ASSISTANT_GATEWAY_PORT": port, **(environment or {})}),
            cwd=home,
            log_path=home / "gateway.log",
            name="gateway",
        )
        gateway.url = f"http://127.0.0.1:{port}"
        self.programs.append(gateway)
        gateway.start(ready=r"gateway ready")
        return gateway

    def stop(self) -> None:
        """End every program, then everything that a program left running under this folder (scripts, supervisors)."""
        for program in reversed(self.programs):
            program.stop()
        reaper.kill_users_of(self.folder)
        self._cleanup.close()

    # The operator

    def assist(
        self,
        *arguments: str | Path,
        input: str | bytes | None = None,
        within_seconds: float = 30,
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run ``assist`` to its end as an operator would; a failure is an outcome, not an exception."""
        argv = [str(argument) for argument in arguments]
        outcome = subprocess.run(
            [installed_program("assist"), *argv],
            input=input.encode() if isinstance(input, str) else input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            cwd=self._operator_home,
            env=self._environment(self._operator_home, None, environment),
            timeout=within_seconds,
            check=False,
        )
        return Outcome(
            arguments=tuple(argv),
            exit_code=outcome.returncode,
            stdout=outcome.stdout.decode("utf-8", "replace"),
            stderr=outcome.stderr.decode("utf-8", "replace"),
        )

    @contextlib.contextmanager
    def operator(self) -> Iterator[Assistant]:
        """The operator's library, with the home of ``assist``: for what a test needs but is not about.

        A call of it costs a hundredth of a call of the program.
        """
        home = load({"home": str(self._operator_home)}).settings
        with Assistant(settings=replace(home, redis_url=self.redis_url)) as assistant:
            yield assistant

    def register(self, *instance_ids: str) -> None:
        """Make instances known that have no agent."""
        with self.operator() as operator:
            for instance_id in instance_ids:
                operator.add_instance(instance_id)

    def register_with_credentials(self, instance_id: str, file: Path) -> Path:
        """Register an instance and write the file for its agent, as ``assist instance add --credentials`` does."""
        with self.operator() as operator:
            operator.add_instance(instance_id)
            operator.trust.issue_credentials(instance_id).credentials.write(file)
        return file

    def wait_for_state(self, invoke_id: str, state: str, within_seconds: float = 20) -> None:
        """Wait until the latest execution of every target is in a state."""
        with self.operator() as operator:

            def states() -> set[str]:
                (found,) = operator.describe_invocations(InvocationFilter(invoke_id=invoke_id), with_rows=True).items
                return {str(one.state) for one in found.rows}

            eventually(lambda: states() == {state}, within_seconds, f"{invoke_id} is {state}")

    @contextlib.contextmanager
    def assist_running(self, *arguments: str | Path, name: str = "assist") -> Iterator[Program]:
        """Run ``assist`` in the background for the block: for following, interrupting, ``assist up``."""
        program = Program(
            [installed_program("assist"), *arguments],
            env=self._environment(self._operator_home, None, None),
            cwd=self._operator_home,
            log_path=self.folder / f"{name}.log",
            name=name,
        )
        with program:
            yield program

    def _environment(self, home: Path, redis_url: str | None, extra: Mapping[str, str] | None) -> dict[str, str]:
        return clean_environment(
            home,
            {
                "CLOUD_ASSISTANT_REDIS_URL": redis_url or self.redis_url,
                "CLOUD_ASSISTANT_HOME": str(home),
                **self.environment,
                **(extra or {}),
            },
        )
