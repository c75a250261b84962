"""`assist up` as an operator starts it, on a private home and private ports."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from cloud_assistant.broker_config.settings import load
from cloud_assistant.producer.local_system.home_lock import RunningChild, UpNote, read_note
from harness import proc
from harness.ports import reserve_port
from harness.processes import Program, clean_environment, installed_program

READY = r"ends everything"


class LocalUp:
    """One home, and the `assist up` on it; a second start on the same home goes on where the first one ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.redis_port, self.gateway_port, self.flower_port = (reserve_port().number for _ in range(3))
        self.environment: dict[str, str] = {}
        self._programs: list[Program] = []

    def program(self, *options: str) -> Program:
        """`assist up`, not started yet."""
        ports = ["--gateway-port", str(self.gateway_port), "--flower-port", str(self.flower_port)]
        program = Program(
            [installed_program("assist"), "up", "--home", self.home, *ports, *options],
            env=clean_environment(self.folder, self.environment),
            cwd=self.folder,
            log_path=self.folder / f"up{len(self._programs)}.log",
            name="assist up",
        )
        self._programs.append(program)
        return program

    def stop(self) -> None:
        """End what still runs."""
        for program in self._programs:
            program.stop()

    def start(self, *options: str) -> Program:
        """Start it with a server of its own and wait until everything runs."""
        return self.program("--redis-port", str(self.redis_port), *options).start(ready=READY, within_seconds=40)

    def run(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Start it and wait until it ends by itself."""
        program = self.program(*options)
        return subprocess.run(
            program.argv, env=program.env, cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )

    def assist(self, *arguments: str) -> Any:
        """What `assist` in another terminal answers, as JSON; it must succeed."""
        outcome = subprocess.run(
            [installed_program("assist"), *arguments, "--output", "json"],
            env=clean_environment(self.folder, {"CLOUD_ASSISTANT_HOME": str(self.home)}),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr
        return json.loads(outcome.stdout)

    @property
    def note(self) -> UpNote:
        """What the running one says about itself."""
        note = read_note(self.home)
        assert note is not None
        return note

    def child(self, name: str) -> RunningChild:
        """One of its programs."""
        return next(child for child in self.note.children if child.name == name)

    def processes(self) -> list[proc.ProcessInfo]:
        """Everything that runs on this home."""
        return proc.processes_using(self.home)

    @contextlib.contextmanager
    def redis(self) -> Iterator["redis.Redis"]:
        """A client that finds the server as `assist` in another terminal does."""
        url = load({"home": str(self.home)}).settings.redis_url
        with redis.Redis.from_url(url, decode_responses=True, socket_timeout=5) as client:
            yield client
