"""TLS before HTTP: a connection has its place from the moment it is accepted, not only once its handshake is over."""

import asyncio
import ssl
from typing import Any

from uvicorn.server import ServerState

from .connection_places import ConnectionPlaces
from .http_protocol import GatewayProtocol

#: How long a handshake may take.
HANDSHAKE_SECONDS = 30.0


class TlsDoor(asyncio.Protocol):
    """One connection until its handshake is over; a ``GatewayProtocol`` has it from then on.

    asyncio tells of a connection with TLS only then, and any number of silent ones would be nobody's.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext,
        places: ConnectionPlaces,
        server_state: ServerState,
        **inside: Any,
    ) -> None:
        self._context = context
        self._places = places
        self._connections: set[Any] = server_state.connections
        self._inside = GatewayProtocol(places=places, server_state=server_state, **inside)
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, which whoever comes later gets first, and begin."""
        self._transport = transport
        # Where there was none, the client is told so once it can be told anything.
        self._places.enter(self)
        self._places.mark(self, owes_head=True, is_idle=False)
        self._connections.add(self)
        self._opening = asyncio.get_running_loop().create_task(self._open(transport))

    def make_way(self) -> None:
        """End at once: a newcomer needs the place."""
        self.shutdown()

    def shutdown(self) -> None:
        """End at once: the server stops."""
        if self._transport is not None:
            self._transport.abort()

    async def _open(self, transport: asyncio.Transport) -> None:
        waiting = _Waiting()
        try:
            if transport.is_closing():
                return
            secured = await asyncio.get_running_loop().start_tls(
                transport, waiting, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError:
            # Not TLS, not in time, or gone: it is ended already, and there is nobody to tell.
            return
        finally:
            self._connections.discard(self)
            self._places.leave(self)
        if secured is None:
            # It was ended meanwhile, by us or by the client.
            return
        secured.set_protocol(self._inside)
        self._inside.beneath_tls = transport
        self._inside.connection_made(secured)
        if waiting.received:
            self._inside.data_received(bytes(waiting.received))


class _Waiting(asyncio.Protocol):
    """Keeps what comes with the end of the handshake."""

    def __init__(self) -> None:
        self.received = bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += data
