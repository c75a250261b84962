"""Ports of this machine: which are free, and who has the others."""

import errno
import pwd
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

#: Where the programs of a local system reach one another.
LOOPBACK = "127.0.0.1"
#: The state "listening" in /proc/net/tcp.
_LISTENING = "0A"
_COMMAND_LENGTH_MAX = 60
_NEAR_COUNT = 200


def is_free(address: str, port: int) -> bool:
    """Tell whether a server could listen there now.

    Raises:
        OSError: it could not for another reason than being taken: not our address, a privileged port.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections that an earlier server had closed must not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def next_free_port(address: str, after: int) -> int:
    """The first port above ``after`` that nobody listens on at this moment; 0 when there is none near.

    Not one that the system proposes: those are lent to every outgoing connection, so that a program which comes back
    later may find its port in use.
    """
    for port in range(after + 1, min(after + _NEAR_COUNT, 65536)):
        if is_free(address, port):
            return port
    return 0


def why_not_reachable(address: str) -> str:
    """Why no program of this machine gets through to an address of its own; ``""`` when it does.

    Listening there works all the same: only who connects learns that the interface is down.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing; looks for the way.
            probe.connect((address, 9))
        except OSError as exc:
            return exc.strerror or str(exc)
    return ""


def accepts(address: str, port: int) -> bool:
    """Tell whether a server takes connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def owner_of(port: int) -> str:
    """Who listens on a port, for people: program and pid, or at least the user; ``""`` where nobody can tell."""
    if sys.platform != "linux":
        return ""
    listeners = dict(_listeners(port))
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and not listeners.keys().isdisjoint(_sockets_of(folder)):
            return f"{_command_of(folder)} (pid {folder.name})"
    for uid in listeners.values():
        return f"a program of user {_user_name(uid)}"
    return ""


def _listeners(port: int) -> Iterable[tuple[str, int]]:
    """(inode, uid) of each socket that listens on the port, whatever its address."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9], int(fields[7])


def _sockets_of(folder: Path) -> set[str]:
    """The inodes of a process' sockets; none when it is somebody else's or gone."""
    try:
        links = list((folder / "fd").iterdir())
    except OSError:
        return set()
    targets = map(_target_of, links)
    return {target[8:-1] for target in targets if target.startswith("socket:[")}


def _target_of(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # closed meanwhile


def _command_of(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().rstrip(b"\0").decode("utf-8", "replace").split("\0")
        name = (folder / "comm").read_text().strip()
    except OSError:
        return "a program"
    program, _, title = words[0].partition(" ")
    shown = " ".join([Path(program).name or name, title, *words[1:]]).replace("  ", " ").strip()
    return shown if len(shown) <= _COMMAND_LENGTH_MAX else shown[: _COMMAND_LENGTH_MAX - 1] + "…"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
