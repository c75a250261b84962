"""What most parts need: a server, instances with credentials and agents, a floor agent, and the Python API."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.broker_config.settings_table import SecuritySettings, Settings
from cloud_assistant.producer.api import Assistant
from harness import reaper
from harness.processes import Program, clean_environment
from harness.redis_server import RedisServer
from harness.system import Agent, System

HERE = Path(__file__).parent
#: A server rewrites its append-only file when that has doubled, which would fall now into ours and now into the floor.
NO_REWRITE = {"auto-aof-rewrite-percentage": 0}


class Rig:
    """One server, and on it what a part starts; all ends when the rig is left.

    Everything is as deployed: an append-only file, a Redis user and a key for each agent, signed envelopes and results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        # Last of all: the forks of the floor.
        self._ending.callback(reaper.kill_users_of, self.folder)
        self.server = self._ending.enter_context(
            RedisServer(self.folder / "redis", keeps_users=True, config=NO_REWRITE)
        )
        self.system = System.on(self.server, self.folder / "system")
        self._ending.callback(self.system.stop)
        key_file = self.folder / "master-key.json"
        write_master_keys(key_file, new_master_keys())
        security = SecuritySettings(master_key_file=str(key_file))
        self.system.environment["CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE"] = str(key_file)
        settings = Settings(redis_url=self.server.url(), home=str(self.folder), security=security)
        self.assistant = Assistant(settings=settings)
        self._ending.callback(self.assistant.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.close()

    def start_agent(self, instance_id: str) -> Agent:
        """Register an instance and start its agent."""
        self.assistant.add_instance(instance_id)
        file = self.folder / f"{instance_id}.toml"
        self.assistant.trust.issue_credentials(instance_id).credentials.write(file)
        return self.system.start_agent(instance_id, credentials=file)

    def start_floor(self, names: Sequence[str]) -> Program:
        """Start floor agents of these names, as forks of one process."""
        floor = Program(
            [sys.executable, HERE / "floor.py", self.server.url(), *names],
            env=clean_environment(self.folder),
            cwd=self.folder,
            log_path=self.folder / "floor.log",
        )
        self._ending.callback(floor.stop)
        return floor.start(ready="floor ready")
