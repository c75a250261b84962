"""What a running agent leaves for its own program when a script calls that: a script knows none of its settings."""

from pathlib import Path

import msgspec

from ...broker_config.releases.package_order import HOME_VARIABLE, PROGRAM_VARIABLE
from ...broker_config.settings_table import Settings
from ...broker_config.untrusted_input import UntrustedDecoder
from ..service.plan import started_file
from ..state_file import write_state_file
from ..upgrade.installation import Installation

_FILE = "agent-notes.json"


class AgentNotes(msgspec.Struct, frozen=True, kw_only=True):
    """The part of its settings that packages need."""

    publishers_folder: str
    gateway_url: str = ""
    gateway_ca_file: str = ""
    agent_version: str = ""


_decoder = UntrustedDecoder(msgspec.json.Decoder(AgentNotes))


def leave_notes(settings: Settings, version: str) -> None:
    """Write the notes into the home.

    Raises:
        OSError: the home cannot be written.
    """
    notes = AgentNotes(
        publishers_folder=settings.agent.publishers_folder,
        gateway_url=settings.gateway.url,
        gateway_ca_file=settings.gateway.ca_file,
        agent_version=version,
    )
    write_state_file(Path(settings.home) / _FILE, msgspec.json.encode(notes))


def read_notes(home: Path) -> AgentNotes | None:
    """Read the notes; ``None`` where no agent left any."""
    try:
        return _decoder.decode((home / _FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def script_variables(settings: Settings, version: str) -> dict[str, str]:
    """What every script is told about the agent: its program and its home."""
    installation = Installation(Path(settings.agent.install_folder))
    program = started_file()
    if installation.current() == version and installation.program(version).is_file():
        # Through the link: right also for a script that goes on after an upgrade.
        program = installation.folder / "current" / "bin" / "assist-agent"
    return {PROGRAM_VARIABLE: str(program), HOME_VARIABLE: str(Path(settings.home).absolute())}
