"""The Redis-protocol server of a local system: its files in the home, its configuration, its address.

``<home>/redis/``: ``server.conf`` (written at each start), ``users.acl`` (the server keeps agents' users in it),
``password`` and ``port`` (made once), and the server's own append-only files. All of it is for the owner only.
"""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from ...broker_config.errors import SettingsInvalid
from ...broker_config.redis_url import RedisAddress, format_url
from .ports import is_free, next_free_port
from .private_files import read_or_empty, write_private

ADDRESS = "127.0.0.1"
#: Not 6379: a Redis of the machine's own is likely to be there, now or later.
DEFAULT_PORT = 6399
_FOLDER = "redis"
#: Two connections per agent, a few per program; the server lowers it by itself where fewer files may be open.
_MAX_CLIENTS_COUNT = 10_000


@dataclass(frozen=True)
class EmbeddedServer:
    """A server whose files are in place; it is started like every other program."""

    folder: Path
    binary: Path
    port: int
    password: str

    @property
    def redis_url(self) -> str:
        """The address with the password; without a user's name it is the server's default user's."""
        return format_url(RedisAddress(kind="redis", hosts=((ADDRESS, self.port),), password=self.password))

    @property
    def argv(self) -> tuple[str, ...]:
        """How to start it."""
        return (str(self.binary), str(self.folder / "server.conf"))


def choose_port(home: Path, wanted_port: int | None) -> int:
    """The wanted port, else that of earlier runs, else the default or a free one.

    Agents and other terminals have the address by heart, so it does not move by itself.

    Raises:
        SettingsInvalid: what earlier runs left is not a port.
    """
    if wanted_port:
        return wanted_port
    remembered = read_or_empty(home / _FOLDER / "port")
    if not remembered:
        return DEFAULT_PORT if is_free(ADDRESS, DEFAULT_PORT) else next_free_port(ADDRESS, DEFAULT_PORT)
    if not (remembered.isdigit() and 0 < int(remembered) < 65536):
        raise SettingsInvalid(
            f"{home / _FOLDER / 'port'} holds {remembered!r}, not a port; say which one with --redis-port"
        )
    return int(remembered)


def prepare_server(home: Path, binary: Path, port: int) -> EmbeddedServer:
    """Write the server's files; data, users and password of earlier runs stay as they are."""
    folder = home / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    password = read_or_empty(folder / "password")
    if not password:
        password = secrets.token_urlsafe(32)
        write_private(folder / "password", password + "\n")
    write_private(folder / "port", f"{port}\n")
    write_private(folder / "users.acl", _users(read_or_empty(folder / "users.acl"), password))
    write_private(folder / "server.conf", _configuration(folder, port))
    return EmbeddedServer(folder, binary, port, password)


def _users(kept: str, password: str) -> str:
    """The ACL file: our own user with the present password, every other user as the server left it."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    others = [line for line in kept.splitlines() if line.split()[:2] != ["user", "default"]]
    return "\n".join([f"user default on sanitize-payload #{digest} ~* &* +@all", *others, ""])


def _configuration(folder: Path, port: int) -> str:
    settings = {
        "bind": ADDRESS,
        "port": str(port),
        "protected-mode": "yes",
        "daemonize": "no",
        "supervised": "no",
        "dir": _quoted(folder),
        "aclfile": _quoted(folder / "users.acl"),
        # At most the last second is lost with the machine's power, nothing with the process.
        "appendonly": "yes",
        "appendfsync": "everysec",
        # No snapshots on the side: the append-only files are the one copy.
        "save": '""',
        # A full memory must refuse a write instead of dropping somebody's ledger rows.
        "maxmemory-policy": "noeviction",
        "maxclients": str(_MAX_CLIENTS_COUNT),
    }
    return "\n".join(["# Written by `assist up` at each start.", *(" ".join(pair) for pair in settings.items()), ""])


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
