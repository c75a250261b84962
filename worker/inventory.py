"""Facts about the machine that may change while the agent runs, looked up seldom and sent only when they changed."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import SettingsInvalid
from ..broker_config.machine_name import machine_name
from ..broker_config.redis.connection import Argument
from ..broker_config.redis.url import parse_url
from .identity import os_name

#: One look costs well under a millisecond; a new address shows within this time.
_LOOK_SECONDS = 60.0
#: Nobody's address (RFC 5737): a datagram socket "connected" to it names the address of the default route; nothing is
#: sent.
_NOBODY = "192.0.2.1"
_ADDRESS_COUNT = 32


class Inventory:
    """The changing facts of one machine; one thread uses it."""

    def __init__(self, redis_url: str, *, look_up: Callable[[str], dict[str, Argument]] | None = None) -> None:
        self._redis_url = redis_url
        self._look_up = look_up or look
        self._found: dict[str, Argument] = {}
        self._told: dict[str, Argument] = {}
        self._next_look = 0.0

    def all(self) -> Mapping[str, Argument]:
        """Every fact, looked up now: for a server that knows nothing of us."""
        self._found = self._look_up(self._redis_url)
        self._next_look = monotonic_seconds() + _LOOK_SECONDS
        return self._found

    def changed(self) -> Mapping[str, Argument]:
        """What is different from what was told last; looked up at most once a minute."""
        if monotonic_seconds() >= self._next_look:
            self.all()
        return {name: value for name, value in self._found.items() if self._told.get(name) != value}

    def note_told(self) -> None:
        """Take note that what was looked up last has arrived: a new address often comes with a broken line."""
        self._told = self._found


def look(redis_url: str) -> dict[str, Argument]:
    """Look the facts up."""
    return {
        "hostname": machine_name(),
        "os_name": os_name(),
        "ip_address": address_towards(redis_url),
        "ip_addresses": ",".join(addresses()),
        "memory_bytes": memory_bytes(),
        "processor_count": os.cpu_count() or 0,
    }


def address_towards(redis_url: str) -> str:
    """The address of this machine on the way to Redis; on loopback or a Unix socket that of its default route."""
    try:
        hosts = parse_url(redis_url).hosts
        target = hosts[0][0] if hosts else _NOBODY
    except SettingsInvalid:
        target = _NOBODY
    for one in (target, _NOBODY):
        found = _source_address(one)
        if found and not found.startswith("127.") and found != "::1":
            return found
    return ""


def _source_address(target: str) -> str:
    try:
        # Numeric hosts only: a name server that hangs must not hold up the heartbeat.
        family, kind, *_, address = socket.getaddrinfo(target, 9, 0, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def addresses(proc: Path = Path("/proc/net")) -> list[str]:
    """Every address of this machine but loopback and link-local ones; on other systems than Linux what its name has."""
    if sys.platform != "linux":
        try:
            found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
        except OSError:
            return []
        return sorted(one for one in found if not one.startswith(("127.", "::1", "fe80", "169.254.")))
    return (
        sorted(_version_4(proc / "fib_trie"))[:_ADDRESS_COUNT] + sorted(_version_6(proc / "if_inet6"))[:_ADDRESS_COUNT]
    )


def _version_4(path: Path) -> set[str]:
    """Local addresses in the kernel's routing trie: a leaf, then its kind on the line below."""
    found, leaf = set(), ""
    for line in _lines(path):
        word = line.strip()
        if word.startswith("|-- "):
            leaf = word[4:]
        elif word.startswith("/32 host LOCAL") and not leaf.startswith(("127.", "169.254.")):
            found.add(leaf)
    return found


def _version_6(path: Path) -> set[str]:
    found = set()
    for line in _lines(path):
        text = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0]))
        if text != "::1" and not text.startswith("fe80:"):
            found.add(text)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def memory_bytes() -> int:
    """Memory of the machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
