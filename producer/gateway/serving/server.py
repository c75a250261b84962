"""Serve the application: a listening socket, uvicorn on h11, a ready line, a graceful stop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import uvicorn

from ....broker_config.settings_table import GatewaySettings
from ..app import GatewayApplication
from .connection_places import ConnectionPlaces, places_count
from .http_protocol import GatewayProtocol
from .tls_door import TlsDoor

logger = logging.getLogger(__name__)

#: Room for the headers, on top of the request line.
HEADERS_BYTES = 64 * 1024
#: How long requests under way may take to end once the server is asked to stop.
STOP_SECONDS = 30
#: How long the work for those that did not may then take to notice that nobody waits for it.
NOTICE_SECONDS = 10
#: How long a connection stays open between two requests.
KEEP_ALIVE_SECONDS = 75
#: Connections that the kernel holds for us until they are accepted.
BACKLOG_COUNT = 2048
#: How many are accepted before anything else is done. Whoever makes way for them is gone some turns later, and until
#: then the files must be enough for both.
ACCEPTED_COUNT = 32
#: How much the kernel takes from us before it can send it. With its own limit, megabytes, a slow client looks like one
#: that takes nothing for a minute and then much at once.
UNSENT_BYTES = 128 * 1024


class GatewayServer(uvicorn.Server):
    """uvicorn's server for one gateway; stops gracefully on SIGTERM and SIGINT and then returns."""

    def __init__(self, application: GatewayApplication, settings: GatewaySettings) -> None:
        self._application = application
        self._settings = settings
        self._socket = listening_socket(settings)
        self.url = url_of(self._socket, settings)
        places = ConnectionPlaces(places_count(), application.crowd.connection)
        self._with_tls = partial(TlsDoor, places=places, memory=application.memory)
        config = uvicorn.Config(
            application,
            http=partial(GatewayProtocol, places=places, memory=application.memory),  # type: ignore[arg-type]  # called only
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            # Its warnings are about malformed requests: strangers would fill the log with them.
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=settings.request_bytes + HEADERS_BYTES,
            backlog=ACCEPTED_COUNT,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS + NOTICE_SECONDS,
            ssl_certfile=settings.tls_certificate or None,
            ssl_keyfile=settings.tls_key or None,
        )
        super().__init__(config)

    def serve_until_stopped(self) -> None:
        """Serve; return after a signal, or ``should_exit``, once the requests under way have ended."""
        try:
            self.run(sockets=[self._socket])
        finally:
            self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting, then say so on one line that programs can wait for."""
        if self.config.ssl is not None:
            # Handshakes are begun by the door, not by asyncio, which would tell of them only once they are over.
            self.config.http_protocol_class = partial(self._with_tls, context=self.config.ssl)  # type: ignore[assignment]
            self.config.ssl = None
        await super().startup(sockets)
        # asyncio takes the one number for both.
        self._socket.listen(BACKLOG_COUNT)
        logger.info("gateway ready url=%s", self.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer those who wait, and let the rest end, or end it when that takes too long."""
        self._application.stop_waiting()
        if self._settings.unix_socket:
            # Before it is closed: later it may be that of a gateway that was started in our place.
            Path(self._settings.unix_socket).unlink(missing_ok=True)
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._end_connections)
        await super().shutdown(sockets)
        logger.info("gateway stopped url=%s", self.url)

    def _end_connections(self) -> None:
        # As if the clients had left, which all work knows how to take; uvicorn would cancel it in the middle.
        connections = list(self.server_state.connections)
        logger.warning("gateway ends what has not ended in %g s: connections=%d", STOP_SECONDS, len(connections))
        for connection in connections:
            connection.make_way()  # type: ignore[union-attr]  # all of them are ours

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for the duration; unlike uvicorn's own, a graceful stop ends with exit status 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, action in previous.items():
                signal.signal(number, action)


def listening_socket(settings: GatewaySettings) -> socket.socket:
    """Bind before serving, so that a port of 0 is known and a failure is a plain OSError.

    A Unix socket is for this user and group only; one left behind by a dead gateway is replaced, any other file
    is not.

    Raises:
        OSError: the address is in use, not ours, not permitted, or none.
    """
    if settings.unix_socket:
        return _unix_socket(Path(settings.unix_socket))
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol must be named: asyncio turns Nagle's algorithm off only for sockets that say they are TCP, and
    # with it on, each reply on a kept connection waits 40 ms for the client's delayed acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG_COUNT)
    except OverflowError as exc:
        listening.close()
        raise OSError(f"{exc}; set gateway.port") from exc
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket, settings: GatewaySettings) -> str:
    """Write where clients reach this socket."""
    scheme = "https" if settings.tls_certificate else "http"
    if settings.unix_socket:
        return f"{scheme}+unix://{settings.unix_socket}"
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{name}:{listening.getsockname()[1]}"


def _unix_socket(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_answered(path):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o117)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(BACKLOG_COUNT)
    except OSError:
        listening.close()
        raise
    return listening


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
