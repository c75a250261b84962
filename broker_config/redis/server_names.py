"""Which texts may be the name of a server or the address of a gateway, and which are names of this machine."""

from urllib.parse import SplitResult, urlsplit

#: A server on any of them is reached by this machine alone.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def may_be_server_name(name: str) -> bool:
    """Tell whether the resolver can be asked for this name or address; other texts it refuses in a way of its own."""
    if name.isascii():
        return all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def http_address(url: str) -> SplitResult | None:
    """The parts of an ``http://…`` or ``https://…`` that names a server; ``None`` for every other text."""
    try:
        parts = urlsplit(url)
        # No port may have such a number, or no address such a form.
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and may_be_server_name(parts.hostname or "") else None
