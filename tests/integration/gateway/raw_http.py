"""Speak HTTP over a bare socket, so that a request is exactly what the test says."""

import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawReply:
    """A reply as it came."""

    http_status: int
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The body as JSON."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


def connection_to(port: int) -> socket.socket:
    """Connect; no read takes longer than ten seconds."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def exchange(port: int, head: str, body: bytes = b"") -> RawReply:
    """Send one request on a connection of its own and read the reply to its end."""
    with connection_to(port) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return read_reply(connection)


def read_reply(connection: socket.socket) -> RawReply:
    """Read one reply with a Content-Length."""
    with connection.makefile("rb") as stream:
        status_line = stream.readline()
        headers = {}
        while (line := stream.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
    return RawReply(int(status_line.split()[1]), headers, body)
