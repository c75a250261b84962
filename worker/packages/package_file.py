"""``package.toml``: what a package is, what it needs, and which scripts install, remove and check it."""

import platform
import sys
import tomllib
from pathlib import Path

import msgspec

from ...broker_config.errors import CloudAssistantError, Refused
from ...broker_config.releases.publisher_signing import Statement
from ...broker_config.releases.version_order import Condition

FILE_NAME = "package.toml"
_SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "darwin"}


class Scripts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in the archive; ``""`` is none."""

    install: str = ""
    uninstall: str = ""
    health: str = ""


class _Requires(msgspec.Struct, forbid_unknown_fields=True):
    os: list[str] = []
    distributions: list[str] = []
    agent: str = ""
    packages: list[str] = []


class PackageFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The contents of ``package.toml``."""

    name: str
    version: str
    description: str = ""
    #: How long the health script is tried again until it succeeds.
    healthy_within_seconds: float = 30.0
    requires: _Requires = msgspec.field(default_factory=_Requires)
    #: By system (``linux``, ``windows``, ``freebsd``, ``darwin``), or ``any``.
    scripts: dict[str, Scripts] = {}

    def scripts_here(self) -> Scripts:
        """The scripts for this system."""
        return self.scripts.get(this_os()) or self.scripts.get("any") or Scripts()


def this_os() -> str:
    """The system of this machine, as packages name it."""
    return "freebsd" if sys.platform.startswith("freebsd") else _SYSTEMS.get(sys.platform, sys.platform)


def read_package_file(folder: Path, statement: Statement) -> PackageFile:
    """Read it from an unpacked archive.

    Raises:
        Refused: it is missing, wrong, or of another package than was signed (``PackageBroken``).
    """
    try:
        parsed = msgspec.convert(tomllib.loads((folder / FILE_NAME).read_text(encoding="utf-8-sig")), PackageFile)
        for text in (*parsed.requires.packages, *([parsed.requires.agent] if parsed.requires.agent else [])):
            Condition(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.MsgspecError, CloudAssistantError) as exc:
        raise Refused(f"{FILE_NAME} of {statement}: {exc}", code="PackageBroken") from exc
    if (parsed.name, parsed.version) != (statement.name, statement.version):
        raise Refused(f"{FILE_NAME} says {parsed.name} {parsed.version}, signed was {statement}", code="PackageBroken")
    for script in msgspec.structs.astuple(parsed.scripts_here()):
        path = folder / script
        if script and (not path.is_file() or not path.resolve().is_relative_to(folder.resolve())):
            raise Refused(f"{FILE_NAME} of {statement} names {script!r}, which is not in it", code="PackageBroken")
    return parsed


def unmet(package: PackageFile, installed: dict[str, str], agent_version: str) -> str:
    """Say what the package needs and this machine has not; ``""`` when it has everything."""
    requires = package.requires
    if requires.os and this_os() not in requires.os:
        return f"it is for {', '.join(requires.os)}, and this is {this_os()}"
    here = distributions()
    if requires.distributions and not here & {one.lower() for one in requires.distributions}:
        return f"it is for {', '.join(requires.distributions)}, and this is {', '.join(sorted(here)) or 'unknown'}"
    if requires.agent and not Condition(requires.agent).holds(agent_version):
        return f"it needs an agent {requires.agent}, and this one is {agent_version}"
    for text in requires.packages:
        condition = Condition(text)
        version = installed.get(condition.name)
        if version is None or not condition.holds(version):
            return f"it needs {condition}, and here is {f'{condition.name} {version}' if version else 'none'}"
    return ""


def distributions() -> set[str]:
    """What this system calls itself: ``ubuntu``, ``ubuntu-22.04``, and what it is like, ``debian``."""
    if sys.platform != "linux":
        return {this_os()}
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return set()
    names = {release.get("ID", "").lower(), *release.get("ID_LIKE", "").lower().split()}
    if release.get("VERSION_ID"):
        # What is always the newest has none.
        names.add(f"{release.get('ID', '').lower()}-{release['VERSION_ID']}")
    return names - {""}
