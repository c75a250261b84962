"""What the system calls things, as text that can be sent: its names are bytes, and those need not be UTF-8."""

import socket


def machine_name() -> str:
    """The name of this machine."""
    return sendable(socket.gethostname())


def sendable(name: str) -> str:
    """A name with a question mark for each byte that Python could read only as something that it cannot write."""
    return name.encode(errors="replace").decode()
