"""The Redis-protocol server of a local system: its files in the home, its configuration, its address.

``<home>/redis/``: ``server.conf`` (written at each start), ``users.acl`` (the server keeps agents' users in it; those
of our programs get new passwords at each start), ``password`` and ``port`` (made once), and the server's own
append-only files. All of it is for the owner only.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...broker_config.errors import SettingsInvalid
from ...broker_config.redis.url import RedisAddress, format_url
from ..security.program_rights import ControlProgram, program_rules, program_user
from ..security.redis_users import new_password, password_digest
from .ports import LOOPBACK, is_free, next_free_port
from .private_files import read_or_empty, write_private

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
    password: str = field(repr=False)
    program_passwords: Mapping[ControlProgram, str] = field(repr=False)

    def url_of(self, program: ControlProgram) -> str:
        """The address with the user of one of our programs."""
        return RedisAddress(kind="redis", hosts=((LOOPBACK, self.port),)).with_user(
            program_user(program), self.program_passwords[program]
        )

    @property
    def redis_url(self) -> str:
        """The address with the password; without a user's name it is the server's default user's."""
        return format_url(RedisAddress(kind="redis", hosts=((LOOPBACK, self.port),), password=self.password))

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
        return DEFAULT_PORT if is_free(LOOPBACK, DEFAULT_PORT) else next_free_port(LOOPBACK, DEFAULT_PORT)
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
    of_programs = {program: new_password() for program in ControlProgram}
    write_private(folder / "users.acl", _users(read_or_empty(folder / "users.acl"), password, of_programs))
    write_private(folder / "server.conf", _configuration(folder, port))
    return EmbeddedServer(folder, binary, port, password, of_programs)


def _users(kept: str, password: str, of_programs: Mapping[ControlProgram, str]) -> str:
    """The ACL file: our own users with their present passwords, every other user as the server left it."""
    own = {"default": f"#{password_digest(password)} ~* &* +@all"}
    for program, its_password in of_programs.items():
        rules = " ".join(program_rules(program, database=0))
        own[program_user(program)] = f"#{password_digest(its_password)} {rules}"
    others = [line for line in kept.splitlines() if line.split()[1:2] and line.split()[1] not in own]
    return "\n".join([*(f"user {name} on sanitize-payload {rules}" for name, rules in own.items()), *others, ""])


def _configuration(folder: Path, port: int) -> str:
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "protected-mode": "yes",
        "daemonize": "no",
        "supervised": "no",
        "dir": _quoted(folder),
        "aclfile": _quoted(folder / "users.acl"),
        # A crash of server or machine may forget the last two seconds; "always" costs an fsync for each request.
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
