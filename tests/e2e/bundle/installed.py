"""An agent that runs from an unpacked bundle."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import reaper
from harness.processes import Program
from harness.system import Agent

INSTANCE = "i-bundled"


@dataclass
class InstalledBundle:
    """One machine's folders: the program under ``opt``, settings and state beside it."""

    folder: Path
    version: str
    redis_url: str

    @property
    def program(self) -> Path:
        return self.folder / "opt" / "current" / "bin" / "assist-agent"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def config(self) -> Path:
        path = self.folder / "config.toml"
        path.write_text(
            f'redis_url = "{self.redis_url}"\ninstance_id = "{INSTANCE}"\nhome = "{self.home}"\n'
            "[agent]\naccept_unsigned = true\n",
            encoding="utf-8",
        )
        path.chmod(0o600)
        return path

    def agent(self, name: str = "agent") -> Program:
        """An agent to start, with next to nothing in its environment."""
        return Agent(
            [self.program, "run", "--config", self.config],
            env={"PATH": "/usr/bin:/bin"},
            cwd=self.folder,
            log_path=self.folder / f"{name}.log",
            name=name,
        )

    def run(self, *arguments: str, environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
        """Run the program to its end; what it printed."""
        return subprocess.run(
            [self.program, *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
            env={"PATH": "/usr/bin:/bin", **(environment or {})},
            cwd=cwd or self.folder,
        ).stdout

    def clean_up(self) -> None:
        reaper.kill_users_of(self.folder)

    def manifest(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads((self.program.parents[1] / "manifest.json").read_text(encoding="utf-8"))
        return loaded
