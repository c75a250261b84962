"""What both kinds of package put on a machine, apart from how they say so."""

import os
import shutil
import subprocess
from pathlib import Path

from bundle_facts import Facts

SERVICE = "cloud-assistant-agent"
PREFIX = Path("opt/cloud-assistant")
PRIVATE_FOLDER = "etc/cloud-assistant"
ENVIRONMENT_FILE = f"{PRIVATE_FOLDER}/agent.env"
SUMMARY = "Agent of Cloud Assistant: runs commands on this machine"
DESCRIPTION = """\
 Connects to the Redis of a Cloud Assistant installation, listens on nothing, and runs the commands that are signed for
 this machine. It brings an interpreter of its own and touches none that the machine has."""
_ENVIRONMENT_TEXT = """\
# Settings of this machine's agent as environment variables; they beat /etc/cloud-assistant/config.toml.
# `assist-agent run --help` and `assist config show` have them all. This file is kept when the package is upgraded.
#CLOUD_ASSISTANT_AGENT_SLOTS=10
#CLOUD_ASSISTANT_AGENT_SPOOL_LIMIT_BYTES=268435456
#CLOUD_ASSISTANT_AGENT_LOG_DAYS=30
"""


def lay_out(bundle: Path, tree: Path, facts: Facts, *, unit_folder: str) -> None:
    """Fill ``tree``, the root of a machine, with the bundle, the service files and the settings file."""
    shutil.copytree(bundle, tree / PREFIX / "versions" / facts.version)
    _service_file(bundle, "systemd", tree / unit_folder / f"{SERVICE}.service", 0o644)
    _service_file(bundle, "sysv", tree / "etc/init.d" / SERVICE, 0o755)
    _write(tree / ENVIRONMENT_FILE, _ENVIRONMENT_TEXT, 0o644)
    link = tree / "usr/bin/assist-agent"
    link.parent.mkdir(parents=True)
    link.symlink_to(f"/{PREFIX}/current/bin/assist-agent")
    for folder in (path for path in tree.rglob("*") if path.is_dir() and not path.is_symlink()):
        folder.chmod(0o755)
    # Credentials will lie here, perhaps copied there with an ordinary umask.
    (tree / PRIVATE_FOLDER).chmod(0o700)


def script(name: str, facts: Facts) -> str:
    """A script of the package, with the version filled in."""
    text = (Path(__file__).parent / "scripts" / name).read_text(encoding="utf-8")
    return text.replace("@VERSION@", facts.version)


def size_kilobytes(tree: Path) -> int:
    """What the files of a tree take on a disk, in units of 1024 bytes."""
    return sum(-(-path.lstat().st_size // 1024) for path in tree.rglob("*") if path.is_file())


def _service_file(bundle: Path, system: str, path: Path, mode: int) -> None:
    """Have the agent itself write its service file, so that package and ``assist-agent install`` never differ."""
    program = f"/{PREFIX}/current/bin/assist-agent"
    command = [str(bundle / "bin/assist-agent"), "install", "--print", "--system", system, "--program", program]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": os.defpath})
    _write(path, shown.stdout, mode)


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
