"""One agent per home: a lock on a file that the kernel takes back however the agent ends."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..broker_config.errors import Refused, SettingsInvalid
from ..broker_config.files.private_file import make_private_folder
from ..broker_config.untrusted_input import UntrustedDecoder
from .file_lock import open_to_lock, take_lock

_NAME = "agent.lock"


@dataclass(frozen=True)
class Holder:
    """Which agent holds a home, in its own words."""

    pid: int = 0
    instance_id: str = ""
    epoch: str = ""
    started_ms: int = 0
    version: str = ""


_holder_decoder = UntrustedDecoder(msgspec.json.Decoder(Holder))


class HomeLock:
    """The lock of one home, held until the process ends."""

    def __init__(self, home: Path) -> None:
        """Make the home where needed and take its lock.

        Raises:
            Refused: another agent runs with this home.
            SettingsInvalid: the home cannot be made or written.
        """
        try:
            make_private_folder(home)
            self._fd = open_to_lock(home / _NAME)
        except OSError as exc:
            raise SettingsInvalid(
                f"home {home}: {exc.strerror}; set CLOUD_ASSISTANT_HOME to a folder this user may write"
            ) from exc
        if not take_lock(self._fd):
            os.close(self._fd)
            found = holder(home)
            who = f"pid {found.pid}, instance {found.instance_id}" if found else "starting just now"
            raise Refused(
                f"an agent runs with home {home} already ({who}); stop it first, or give this one another home"
            )

    def describe(self, it: Holder) -> None:
        """Write who holds the lock, for whoever asks."""
        data = msgspec.json.encode(it)
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, data)
        os.ftruncate(self._fd, len(data))


def holder(home: Path) -> Holder | None:
    """Read what the present or last agent of a home wrote about itself."""
    try:
        return _holder_decoder.decode((home / _NAME).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def is_held(home: Path) -> bool:
    """Tell whether an agent runs with this home. Not for the agent itself: looking would give its own lock away."""
    try:
        fd = os.open(home / _NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        return not take_lock(fd)
    finally:
        os.close(fd)
