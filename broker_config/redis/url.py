"""Read a Redis address: redis://, rediss://, unix:// or sentinel://.

``redis://[user:password@]host[:6379][/db]``, ``rediss://…?ca=FILE&cert=FILE&key=FILE&verify=yes|no``,
``unix://[user:password@]/path/to.sock[?db=0]``,
``sentinel://[user:password@]host[:26379][,host…]/master-name[/db][?sentinel_user=U&sentinel_password=P&tls=yes…]``.
"""

import os
from collections.abc import Mapping
from itertools import starmap
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

import msgspec

from ..errors import SettingsInvalid
from .server_names import LOOPBACK, may_be_server_name

_QUERY = {"db", "ca", "cert", "key", "verify", "tls", "sentinel_user", "sentinel_password"}
_PORTS_COUNT = 65_536
_FORMS = "redis://host:port/db, rediss://…, unix:///path?db=0 or sentinel://host:port,host:port/master/db"


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is and who we are there."""

    kind: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    user: str = ""
    password: str = ""
    db: int = 0
    master: str = ""
    sentinel_user: str = ""
    sentinel_password: str = ""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True

    def shown(self) -> str:
        """The address for people: without the password."""
        at = f"{self.user}@" if self.user else ""
        if self.kind == "unix":
            return f"unix://{at}{self.path}?db={self.db}"
        hosts = ",".join(starmap(place, self.hosts))
        if self.kind == "sentinel":
            return f"sentinel://{at}{hosts}/{self.master}/{self.db}"
        return f"{'rediss' if self.tls else 'redis'}://{at}{hosts}/{self.db}"

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return self.kind == "unix" or all(name in LOOPBACK for name, _ in self.hosts)

    def with_user(self, user: str, password: str) -> str:
        """The same address as a URL for another Redis user."""
        return format_url(msgspec.structs.replace(self, user=user, password=password))


def parse_url(url: str) -> RedisAddress:
    """Parse an address.

    Raises:
        SettingsInvalid: the scheme, the port, the database or an option is not one of ours.
    """
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise SettingsInvalid(f"Redis URL: {exc}; use {_FORMS}") from exc
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    _refuse_cut_password(parts, options)
    unknown = set(options) - _QUERY
    if unknown:
        raise SettingsInvalid(
            f"Redis URL: unknown option {sorted(unknown)[0]!r}; known are {', '.join(sorted(_QUERY))}"
        )
    for name in ("verify", "tls"):
        if options.get(name, "yes") not in ("yes", "no"):
            # A word that is not understood must not end in a connection without TLS.
            raise SettingsInvalid(f"Redis URL: {name} is yes or no, not {options[name]!r}")
    userinfo, _, location = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    # For messages: no password in a log.
    shown = f"{parts.scheme}://{location}{parts.path}"
    common = RedisAddress(
        kind=parts.scheme,
        user=unquote(user),
        password=unquote(password),
        tls=parts.scheme == "rediss" or options.get("tls") == "yes",
        ca=options.get("ca", ""),
        cert=options.get("cert", ""),
        key=options.get("key", ""),
        verify=options.get("verify", "yes") != "no",
        sentinel_user=options.get("sentinel_user", ""),
        sentinel_password=options.get("sentinel_password", ""),
    )
    segments = [segment for segment in parts.path.split("/") if segment]
    if parts.scheme == "unix":
        if os.name == "nt":
            raise SettingsInvalid("Redis URL: programs on Windows reach no Unix socket; use redis:// or rediss://")
        return msgspec.structs.replace(common, path=unquote(parts.path), db=_database(options.get("db", "0")))
    if parts.scheme in ("redis", "rediss"):
        host, port = _host_port(location, 6379, shown)
        return msgspec.structs.replace(
            common, kind="redis", hosts=((host, port),), db=_database("/".join(segments) or "0")
        )
    if parts.scheme == "sentinel":
        if not segments:
            raise SettingsInvalid(f"Redis URL {shown!r}: a sentinel address needs the master's name, as in {_FORMS}")
        hosts = tuple(_host_port(one, 26379, shown) for one in location.split(","))
        database = _database("/".join(segments[1:]) or "0")
        return msgspec.structs.replace(common, hosts=hosts, master=segments[0], db=database)
    raise SettingsInvalid(f"Redis URL: scheme {parts.scheme!r} is not known; use {_FORMS}")


def _refuse_cut_password(parts: SplitResult, options: Mapping[str, str]) -> None:
    """Refuse an address in which a sign of the password has ended the server's name, without showing what is cut off.

    Raises:
        SettingsInvalid: it is one.
    """
    is_cut = False
    if parts.scheme == "unix":
        is_cut = bool(parts.netloc) and not parts.netloc.endswith("@")
        if is_cut and ":" not in parts.netloc and "@" not in parts.path:
            raise SettingsInvalid("Redis URL: the path of a socket begins at the root, as in unix:///run/redis.sock")
    elif parts.scheme in ("redis", "rediss", "sentinel"):
        # Only files have names with this sign, and those are values of options.
        is_cut = "@" in parts.path or any(
            "@" in name or (name not in _QUERY and "@" in options[name]) for name in options
        )
    if is_cut or parts.fragment:
        raise SettingsInvalid(
            "Redis URL: user and password are written percent-encoded: %2F for /, %3F for ?, %23 for #, %40 for @"
        )


def format_url(address: RedisAddress) -> str:
    """Write an address as the URL that ``parse_url`` reads back."""
    at = login(address)
    options = {
        "ca": address.ca,
        "cert": address.cert,
        "key": address.key,
        "verify": "" if address.verify else "no",
        "sentinel_user": address.sentinel_user,
        "sentinel_password": address.sentinel_password,
        "tls": "yes" if address.tls and address.kind == "sentinel" else "",
        "db": str(address.db) if address.kind == "unix" else "",
    }
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items() if value)
    tail = f"?{query}" if query else ""
    if address.kind == "unix":
        return f"unix://{at}{quote(address.path)}{tail}"
    hosts = ",".join(starmap(place, address.hosts))
    if address.kind == "sentinel":
        return f"sentinel://{at}{hosts}/{address.master}/{address.db}{tail}"
    return f"{'rediss' if address.tls else 'redis'}://{at}{hosts}/{address.db}{tail}"


def login(address: RedisAddress) -> str:
    """User and password as a URL has them before the server, ``""`` where there are none."""
    if not (address.user or address.password):
        return ""
    return f"{quote(address.user, safe='')}:{quote(address.password, safe='')}@"


def place(host: str, port: int) -> str:
    """A server and its port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host_port(text: str, default: int, shown: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":") if text.rpartition(":")[2].isdecimal() else (text, "", "")
    if not (host or text):
        raise SettingsInvalid(f"Redis URL {shown!r}: no server name; use {_FORMS}")
    number = int(port) if colon else default
    if not 0 < number < _PORTS_COUNT:
        raise SettingsInvalid(f"Redis URL {shown!r}: a port is 1 to {_PORTS_COUNT - 1}, not {number}")
    name = (host or text).strip("[]")
    if not may_be_server_name(name):
        raise SettingsInvalid(f"Redis URL {shown!r}: {name!r} cannot be the name of a server; use {_FORMS}")
    return name, number


def _database(text: str) -> int:
    if not text.isdecimal():
        raise SettingsInvalid(f"Redis URL: the database must be a number, not {text!r}; use {_FORMS}")
    return int(text)
