"""Who this agent is: the instance, the machine under it, and this run of the program."""

import getpass
import os
import platform
import secrets
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from ..broker_config.clock import now_ms
from ..broker_config.errors import Refused, SettingsInvalid
from ..broker_config.files.private_file import write_private_file
from ..broker_config.ids import is_instance_id
from ..broker_config.machine_name import machine_name, sendable
from ..broker_config.messages import WIRE_VERSION
from ..broker_config.redis.connection import Argument
from ..broker_config.untrusted_input import UntrustedDecoder
from .boot.machine_start import remembered_boot
from .execution.machine_clock import uptime_ms
from .execution.proc_table import boot_id as linux_boot_id
from .execution.this_system import own_user_name, scripts_outlive_agent
from .state_file import write_state_file

_EPOCHS_FILE = "epochs.json"
_MACHINE_FILE = "machine-id"
#: Earlier runs of this home that are remembered; one is needed, the others are for runs that never came far.
_EPOCHS_COUNT = 8
_epochs_decoder = UntrustedDecoder(msgspec.json.Decoder(list[str]))


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Facts that stay the same while this agent runs."""

    instance_id: str
    epoch: str
    boot_id: str
    machine_id: str
    started_ms: int
    agent_version: str

    def fields(self, *, slots: int) -> Mapping[str, Argument]:
        """The part of a heartbeat that does not change."""
        return {
            "agent_version": self.agent_version,
            "wire_version": WIRE_VERSION,
            "hostname": machine_name(),
            "os_type": platform.system(),
            "os_name": os_name(),
            "kernel": platform.release(),
            "arch": platform.machine(),
            "boot_id": self.boot_id,
            "machine_id": self.machine_id,
            "pid": os.getpid(),
            "slots": slots,
            "user": _user(),
            "features_off": ",".join(features_off()),
            "started_ms": self.started_ms,
        }


def identify(instance_id: str, home: Path) -> Identity:
    """Find out who we are; the home remembers what the system does not tell.

    Raises:
        SettingsInvalid: no instance id is set, or it is not well formed. OSError: the home cannot be written.
    """
    if not instance_id:
        raise SettingsInvalid("no instance id: set CLOUD_ASSISTANT_INSTANCE_ID, or --instance-id i-…")
    if not is_instance_id(instance_id):
        raise SettingsInvalid(
            f"instance id {instance_id!r}: it must be i- or mi- and up to 63 letters, digits, dots, dashes"
        )
    started_ms = now_ms()
    return Identity(
        instance_id=instance_id,
        epoch=f"{started_ms:x}-{secrets.token_hex(6)}",
        boot_id=boot_id(home),
        machine_id=machine_id(home),
        started_ms=started_ms,
        agent_version=version("cloud-assistant"),
    )


def boot_id(home: Path) -> str:
    """A name for this start of the machine: another one after every reboot."""
    if Path("/proc/sys/kernel/random/boot_id").exists():
        return linux_boot_id()
    return remembered_boot(home, uptime_ms())


def machine_id(home: Path) -> str:
    """A name for this machine that survives reboots; a clone of the disk has the same.

    Where the system tells none, as in many containers, the home keeps one.

    Raises:
        OSError: the home cannot be read or written.
    """
    return written_machine_id(Path("/")) or _hardware_address() or _remembered_machine(home)


def _hardware_address() -> str:
    address = uuid.getnode()
    # One that Python has drawn, because it found none, has this bit, and is another one in each process (RFC 9562).
    return "" if address & 1 << 40 else f"{address:012x}"


def _remembered_machine(home: Path) -> str:
    path = home / _MACHINE_FILE
    try:
        found = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        found = ""
    if not found:
        found = f"machine-{secrets.token_hex(16)}"
        write_private_file(path, found)
    return found


def written_machine_id(root: Path) -> str:
    """The name that a system below this folder has been given; empty where it gets one when it first starts."""
    for path in ("etc/machine-id", "var/lib/dbus/machine-id", "etc/hostid"):
        try:
            text = (root / path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        # systemd's own word for "at the first start".
        if text and text != "uninitialized":
            return text
    return ""


def features_off() -> list[str]:
    """What this agent cannot do, for want of rights or by its system."""
    off = [] if scripts_outlive_agent() else ["scripts that outlive the agent"]
    if os.name == "nt":
        return [*off, "run as another user"]
    return off if os.geteuid() == 0 else [*off, "run as another user", "own control group"]


def earlier_epochs(home: Path) -> list[str]:
    """The runs of this home so far; if one of them still seems to live in Redis, it was us."""
    try:
        return _epochs_decoder.decode((home / _EPOCHS_FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return []


def remember_epoch(home: Path, epoch: str) -> None:
    """Add this run to those of its home; before the first heartbeat, so that a crash in between is no riddle."""
    write_state_file(home / _EPOCHS_FILE, msgspec.json.encode([*earlier_epochs(home), epoch][-_EPOCHS_COUNT:]))


def refuse_second_agent(instance_id: str, *, instance_name: str, pid: str, ttl_seconds: float) -> Refused:
    """Build the refusal for an agent whose instance id is in use elsewhere."""
    return Refused(
        f"another agent runs as {instance_id} ({instance_name}, pid {pid}); stop that one, or give this machine an id"
        f" of its own with --instance-id. If it is gone, try again in {ttl_seconds:.0f} s"
    )


def os_name() -> str:
    """The system in words, with its version."""
    if sys.platform == "linux":
        try:
            return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
        except (OSError, UnicodeDecodeError):
            return "Linux"
    return f"{platform.system()} {platform.version()}"


def _user() -> str:
    if os.name == "nt":
        return own_user_name()
    try:
        return sendable(getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid()) if hasattr(os, "getuid") else ""
