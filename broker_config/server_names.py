"""Which texts may be the name of a server, and which are names of this machine."""

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
