"""What a service of the agent runs, and with which files; the same for every service manager."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from ...broker_config.files.system_folders import LOG_FOLDER, SETTINGS_FILE, STATE_FOLDER

SERVICE_NAME = "cloud-assistant-agent"
DESCRIPTION = "Cloud Assistant agent"
#: Settings of this machine as environment variables; packages keep it over upgrades.
ENVIRONMENT_FILE = "/etc/cloud-assistant/agent.env"
#: The agent leaves within two seconds; past this a manager may use force. Scripts go on either way.
STOP_SECONDS = 15
RESTART_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class ServicePlan:
    """One service to be: every path is as the running machine sees it."""

    program: str
    config: str = SETTINGS_FILE
    home: str = STATE_FOLDER
    log_folder: str = LOG_FOLDER
    #: Take rights away from the agent and from every script as well.
    is_hardened: bool = False

    @property
    def is_default(self) -> bool:
        """Whether nothing was asked for but a service of this program."""
        return self == ServicePlan(program=self.program)

    @property
    def arguments(self) -> list[str]:
        """The command line after the program."""
        return ["run", "--config", self.config]

    @property
    def environment(self) -> dict[str, str]:
        """What the service manager sets: only what is not the default, since it would beat the settings file."""
        given = {"HOME": (self.home, STATE_FOLDER), "AGENT_LOG_FOLDER": (self.log_folder, LOG_FOLDER)}
        return {f"CLOUD_ASSISTANT_{name}": value for name, (value, default) in given.items() if value != default}

    def fill(self, template: str) -> str:
        """Put the plan into a template with ``@NAME@`` places; values are quoted for a shell."""
        values = {
            "NAME": SERVICE_NAME,
            "DESCRIPTION": DESCRIPTION,
            "PROGRAM": shlex.quote(self.program),
            "CONFIG": shlex.quote(self.config),
            "HOME": shlex.quote(self.home),
            "LOG_FOLDER": shlex.quote(self.log_folder),
            "ENVIRONMENT_FILE": ENVIRONMENT_FILE,
            "EXPORTS": "\n".join(self._exports()) or "# (home and log folder are the default ones)",
            "STOP_SECONDS": str(STOP_SECONDS),
            "RESTART_SECONDS": str(RESTART_SECONDS),
        }
        for name, value in values.items():
            template = template.replace(f"@{name}@", value)
        return template

    def _exports(self) -> list[str]:
        return [f"{name}={shlex.quote(value)} && export {name}" for name, value in self.environment.items()]


def template(name: str) -> str:
    """Read a template that lies beside this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def started_file() -> Path:
    """The file from which this program was started; on Windows its launcher leaves the ending of the name out."""
    started = Path(sys.argv[0]).absolute()
    with_ending = started.with_name(f"{started.name}.exe")
    return with_ending if os.name == "nt" and with_ending.exists() else started


def own_program() -> str:
    """Where this program is, as a service should call it.

    In an installed bundle that is the ``current`` link, which updates move; else the file that was started.
    """
    started = started_file().resolve()
    launcher = started.parent.parent / "bin" / "assist-agent"
    if started.name == "assist_agent.py" and launcher.exists():
        versions = launcher.parent.parent.parent
        if versions.name == "versions":
            return str(versions.parent / "current" / "bin" / "assist-agent")
        return str(launcher)
    return str(started)
