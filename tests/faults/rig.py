"""A server, agents behind breakable lines, and beats, for a long run of faults."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from faults.agents import QUICK, in_boot, kill_machine, make_boot, start, start_crashing_agent
from faults.scene import Scene

from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.producer.security.identities import issue
from cloud_assistant.worker.execution.record import STARTED_FILE, load_exit
from harness.eventually import eventually
from harness.old_system import environment_of_old_system
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer
from harness.system import System
from harness.tcp_proxy import TcpProxy

_SETTINGS = {
    **QUICK,
    "CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.5",
    "CLOUD_ASSISTANT_BEAT_MINIMUM_INTERVAL_SECONDS": "1",
}


class Rig:
    """All programs of one run; entering starts them, leaving ends them and all that they started."""

    def __init__(
        self,
        folder: Path,
        instance_ids: list[str],
        *,
        beat_count: int,
        settings: Mapping[str, str] | None = None,
        has_supervisors: bool = True,
    ) -> None:
        self.instance_ids = instance_ids
        self.has_supervisors = has_supervisors
        # "always": what Redis has confirmed is on its disk, which the checker relies on.
        self.server = RedisServer(folder / "redis", config={"appendfsync": "always"}, keeps_users=True)
        self.system = System.on(self.server, folder / "system")
        self.master = new_master_keys()
        self.master_file = folder / "master-key.json"
        write_master_keys(self.master_file, self.master)
        self.system.environment.update({**_SETTINGS, **(settings or {})})
        self.lines = {one: TcpProxy(self.server.port) for one in instance_ids}
        self.scene = Scene(folder / "traces", self.server.url(), self.system.folder, self.master)
        self._of_agents = {} if has_supervisors else environment_of_old_system(folder / "old-system")
        self._credentials: dict[str, Path] = {}
        self._agents: dict[str, Program] = {}
        self._boot_files: dict[str, Path] = {}
        self.beats: list[Program] = []
        self._beat_count = beat_count

    def __enter__(self) -> Self:
        self.server.start()
        for line in self.lines.values():
            line.start()
        for one in self.instance_ids:
            self._credentials[one] = self._issue(one)
            self.start_agent(one)
        self.start_beats()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.scene.close()
        self.system.stop()
        for line in self.lines.values():
            line.stop()
        self.server.close()

    # Agents

    def _issue(self, instance_id: str) -> Path:
        """Give an instance a Redis user and a key of its own, and its line for the way to Redis."""
        line_url = f"redis://127.0.0.1:{self.lines[instance_id].port}/0"
        file = self.system.folder / f"{instance_id}.toml"
        issue(self.scene.redis, self.master, instance_id, agent_redis_url=line_url).credentials.write(file)
        return file

    def agent(self, instance_id: str) -> Program:
        """The latest agent of an instance, running or not."""
        return self._agents[instance_id]

    def start_agent(self, instance_id: str, *, crash_point: str = "", new_boot: bool = False) -> Program:
        """Start the agent of an instance; it need not become ready, since Redis may be away."""
        if new_boot:
            self._boot_files[instance_id] = make_boot(self.system.folder)
        boot_file = self._boot_files.get(instance_id)
        if not self.has_supervisors:
            self.note_broken(instance_id)
        rest: dict[str, Any] = {
            "ready": None,
            "credentials": self._credentials[instance_id],
            "environment": self._of_agents,
        }
        if crash_point:
            agent = start_crashing_agent(self.system, crash_point, instance_id, boot_file=boot_file, **rest)
        else:
            argv = in_boot(boot_file, [installed_program("assist-agent"), "run"])
            agent = start(self.system, argv, instance_id, **rest)
        self._agents[instance_id] = agent
        return agent

    def note_broken(self, instance_id: str) -> None:
        """Remember what ended, or ends, with the programs of an instance: nobody can know how it would have ended.

        What has its record on disk has ended by itself.
        """
        for folder in self.spool(instance_id).iterdir():
            if (folder / STARTED_FILE).exists() and load_exit(str(folder)) is None:
                self.scene.broken_on_purpose.add(folder.name)

    def kill_machine(self, instance_id: str) -> None:
        """SIGKILL everything on one instance."""
        kill_machine(self._agents[instance_id], self.system.folder / instance_id)

    def spool(self, instance_id: str) -> Path:
        """Where the executions of an instance lie."""
        folder = self.system.folder / instance_id / "spool"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # Beats

    def start_beats(self) -> None:
        """Start as many beats as are missing."""
        self.beats = [beat for beat in self.beats if beat.is_running]
        while len(self.beats) < self._beat_count:
            self.beats.append(self._start_beat(f"beat-{len(self.system.programs)}"))

    def _start_beat(self, name: str) -> Program:
        home = self.system.folder / name
        beat = Program(
            [installed_program("assist-beat")],
            env=clean_environment(
                home,
                {
                    "CLOUD_ASSISTANT_REDIS_URL": self.server.url(),
                    "CLOUD_ASSISTANT_HOME": str(home),
                    "CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(self.master_file),
                    **self.system.environment,
                },
            ),
            cwd=home,
            log_path=home / "beat.log",
            name=name,
        )
        self.system.programs.append(beat)
        return beat.start()

    def kill_beat(self, number: int) -> None:
        """SIGKILL one beat."""
        if self.beats:
            self.beats[number % len(self.beats)].sigkill()

    # Redis

    def configure_server(self, name: str, value: str) -> None:
        """Set one setting of the server, as soon as it answers."""

        def set_it() -> bool:
            try:
                self.server.cli("CONFIG", "SET", name, value)
            except redis.RedisError as exc:
                raise AssertionError(str(exc)) from exc
            return True

        eventually(set_it, 90, f"the server takes {name}", every_seconds=0.2)

    def heal(self) -> None:
        """End every fault: all programs run and all lines are whole when this returns."""
        if not self.server.program.is_running:
            self.server.start()
        self.server.resume()
        self.configure_server("maxmemory", "0")
        for one, line in self.lines.items():
            line.set_delay_ms(0)
            line.heal()
            with contextlib.suppress(ProcessLookupError):
                self._agents[one].sigcont()
            if not self._agents[one].is_running:
                self.start_agent(one)
        self.start_beats()
