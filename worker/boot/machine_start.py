"""A name for this start of the machine on systems whose kernel has none.

Two clocks tell when the machine started, and they never agree twice; so the name is kept in the agent's home, and
holds as long as both say that this can still be the same start.
"""

import secrets
from pathlib import Path

import msgspec

from ...broker_config.clock import now_ms
from ...broker_config.programs.program_log import logger
from ...broker_config.untrusted_input import UntrustedDecoder
from ..state_file import write_state_file

_FILE = "boot.json"
#: The wall clock may have been set by this much since the agent was last started.
_TOLERANCE_MS = 120_000

_log = logger("boot")


class _Remembered(msgspec.Struct):
    name: str
    started_ms: int
    uptime_ms: int


_decoder = UntrustedDecoder(msgspec.json.Decoder(_Remembered))


def remembered_boot(home: Path, up_ms: int) -> str:
    """The name of this start of the machine: that of the agent's last run, unless the machine was restarted since.

    A machine that was restarted has been up for less time than then, or started at another moment.

    Raises:
        OSError: the home cannot be written.
    """
    started_ms = now_ms() - up_ms
    found = _read(home / _FILE)
    is_same = found is not None and up_ms >= found.uptime_ms and abs(started_ms - found.started_ms) <= _TOLERANCE_MS
    name = found.name if found is not None and is_same else f"boot-{secrets.token_hex(8)}"
    write_state_file(home / _FILE, msgspec.json.encode(_Remembered(name, started_ms, up_ms)))
    return name


def _read(path: Path) -> _Remembered | None:
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as exc:
        _log.warning("the last start of the machine cannot be read, so this counts as another: %s", exc)
        return None
