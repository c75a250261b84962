"""What can be said of this machine's agent from its home, without asking Redis or the agent."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..broker_config.clock import iso_seconds
from ..broker_config.files.presence import is_folder
from .home_lock import Holder, holder, is_held
from .spool import Spool
from .upgrade.upgrade_state import UpgradeState, read_state


@dataclass(frozen=True)
class Status:
    """The agent of one home."""

    home: str
    is_running: bool
    last: Holder | None
    #: Executions that run, or whose result was not delivered yet.
    unfinished: list[str]
    upgrade: UpgradeState


def read_status(home: Path) -> Status:
    """Look into a home.

    Raises:
        PermissionError: it belongs to another user.
    """
    spool = home / "spool"
    unfinished = Spool(spool, limit_bytes=0, keep_scripts=True).executions() if is_folder(spool) else []
    return Status(str(home), is_held(home), holder(home), unfinished, read_state(home))


def render(status: Status, *, as_json: bool) -> str:
    """The status for people, or for machines."""
    last = status.last or Holder()
    if as_json:
        shown = {
            "Home": status.home,
            "Running": status.is_running,
            "InstanceId": last.instance_id,
            "ProcessId": last.pid if status.is_running else None,
            "Version": last.version,
            "StartTime": iso_seconds(last.started_ms),
            "UnfinishedExecutions": status.unfinished,
            "UpgradeVersion": status.upgrade.version,
            "UpgradeStage": str(status.upgrade.stage),
            "UpgradeReason": status.upgrade.reason,
        }
        return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    if status.is_running:
        head = f"agent runs: instance {last.instance_id}, pid {last.pid}, since {iso_seconds(last.started_ms)}"
    elif status.last:
        head = f"no agent runs with home {status.home}; the last one was instance {last.instance_id}"
    else:
        head = f"no agent ever ran with home {status.home}"
    lines = [head, f"unfinished or undelivered executions: {len(status.unfinished)}"]
    if status.upgrade.stage:
        reason = f" ({status.upgrade.reason})" if status.upgrade.reason else ""
        lines.append(f"last upgrade: {status.upgrade.version} {status.upgrade.stage}{reason}")
    return "\n".join([*lines, *(f"  {one}" for one in status.unfinished[:20])])
