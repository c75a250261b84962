"""How somebody on this machine asks the agent that runs for a trial of a version that is installed beside it."""

import os
from pathlib import Path

import msgspec

from ...broker_config.programs.program_log import logger
from ...broker_config.untrusted_input import UntrustedDecoder

_FILE = "upgrade-request.json"

_log = logger("upgrade")


class LocalRequest(msgspec.Struct, frozen=True):
    """Try this version; its archive was verified by whoever asks."""

    version: str
    serial: int
    probation_seconds: float


_decoder = UntrustedDecoder(msgspec.json.Decoder(LocalRequest))


def write_request(home: Path, request: LocalRequest) -> None:
    """Leave a request for the agent of this home; who may write there is the agent's own user.

    Raises:
        OSError: the home cannot be written.
    """
    fresh = home / (_FILE + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if hasattr(os, "fchown") and os.geteuid() == 0:
            # Root may ask an agent that runs as somebody else, who has to read it.
            owner = home.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(msgspec.json.encode(request))
    fresh.replace(home / _FILE)


def take_request(home: Path) -> LocalRequest | None:
    """Take a request; ``None`` when there is none."""
    path = home / _FILE
    try:
        data = path.read_bytes()
        path.unlink()
        return _decoder.decode(data)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as exc:
        _log.warning("a request to upgrade cannot be read: %s", exc)
        return None
