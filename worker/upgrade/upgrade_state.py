"""How far the upgrade of this instance has come, on its disk: it outlives the agents that take part in it."""

from enum import StrEnum
from pathlib import Path

import msgspec

from ...broker_config.clock import now_ms
from ...broker_config.redis.connection import Argument
from ...broker_config.untrusted_input import UntrustedDecoder
from ..state_file import write_state_file

_FILE = "upgrade.json"
_REASON_CHARACTERS = 300
#: Versions that failed here and are remembered; the oldest are forgotten.
_BAD_COUNT = 20


class Stage(StrEnum):
    """Where an upgrade stands."""

    NONE = ""
    #: The window is not open.
    WAITING = "Waiting"
    DOWNLOADING = "Downloading"
    #: The new version runs and has to show that it works.
    PROBATION = "Probation"
    SUCCEEDED = "Succeeded"
    #: The old version runs again, and the new one is not tried any more.
    FAILED = "Failed"
    #: Nothing was tried: this instance does not take such an order.
    REFUSED = "Refused"
    #: The old version runs again; it could not be told whether the new one works.
    UNDECIDED = "Undecided"


class UpgradeState(msgspec.Struct, frozen=True, kw_only=True):
    """The last order that was taken, and what came of it."""

    serial: int = 0
    version: str = ""
    stage: Stage = Stage.NONE
    reason: str = ""
    changed_ms: int = 0
    #: Starts of the probation of this order; a machine that fails in the middle tries again, not for ever.
    trials_count: int = 0
    #: Versions that failed here, and why.
    bad: dict[str, str] = {}

    def moved(self, stage: Stage, reason: str = "") -> "UpgradeState":
        """The same order in another stage."""
        bad = dict(self.bad)
        if stage is Stage.FAILED:
            bad[self.version] = reason[:_REASON_CHARACTERS]
        if stage is Stage.SUCCEEDED:
            bad.pop(self.version, None)
        return msgspec.structs.replace(
            self,
            stage=stage,
            reason=reason[:_REASON_CHARACTERS],
            changed_ms=now_ms(),
            bad=dict(list(bad.items())[-_BAD_COUNT:]),
        )

    def fields(self) -> dict[str, Argument]:
        """What the heartbeat says of it."""
        return {
            "upgrade_serial": self.serial,
            "upgrade_version": self.version,
            "upgrade_stage": str(self.stage),
            "upgrade_reason": self.reason,
        }


_decoder = UntrustedDecoder(msgspec.json.Decoder(UpgradeState))


def read_state(home: Path) -> UpgradeState:
    """Read the state; a file that cannot be read is as good as none."""
    try:
        return _decoder.decode((home / _FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return UpgradeState()


def write_state(home: Path, state: UpgradeState) -> None:
    """Write the state, for good; on a full disk over the old one.

    Raises:
        OSError: the home cannot be written, or there is none yet and no room for it.
    """
    write_state_file(home / _FILE, msgspec.json.encode(state))
