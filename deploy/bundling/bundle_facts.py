"""What a bundle is called."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

NAME = "cloud-assistant-agent"
#: What systems call a processor → what agents and install scripts ask for.
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Facts:
    """Version and platform of one bundle."""

    version: str
    os: str
    arch: str

    @property
    def top(self) -> str:
        """The one folder in the archive."""
        return f"{NAME}-{self.version}"

    @property
    def stem(self) -> str:
        """The archive's name without its ending."""
        return f"{self.top}-{self.os}-{self.arch}"


def facts_here(version: str) -> Facts:
    """Version and platform of a bundle that is built on this machine."""
    machine = platform.machine().lower()
    return Facts(version, platform.system().lower(), _ARCHITECTURES.get(machine, machine))


def repository_version(repository: Path) -> str:
    """Read the version from setup.py, which is where it is written."""
    found = re.search(r'^    version="([^"]+)"', (repository / "setup.py").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"bundle: {repository / 'setup.py'} names no version")
    return found.group(1)
