"""A TCP proxy that breaks the line between a client and a server in the ways real networks do."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from harness.ports import reserve_port
from harness.proxy_link import Line, Link

T = TypeVar("T")
_BACKLOG = 128


class TcpProxy:
    """Forward a loopback port of ours to a server, until told to misbehave; runs in a thread of its own.

    All methods may be called from the test's thread and have taken effect when they return.
    """

    def __init__(self, upstream_port: int, upstream_host: str = "127.0.0.1") -> None:
        self.upstream = (upstream_host, upstream_port)
        self._reserved = reserve_port()
        self.port = self._reserved.number
        self.line = Line()
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        #: Counts the resets, for connections that were taken in and are not carried yet.
        self._drop_count = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tcp-proxy:{self.port}", daemon=True)
        #: How many connections clients have opened through it so far.
        self.connection_count = 0

    def start(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def stop(self) -> None:
        """Close every connection and the port; a second call does nothing."""
        if self._loop.is_closed():
            return
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._reserved.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def open_connection_count(self) -> int:
        return len(self._links)

    # Faults

    def cut(self) -> None:
        """Reset every connection and refuse new ones, as when the server's machine is off; ``heal`` ends it."""
        self._run(self._cut())

    def drop_connections(self) -> None:
        """Reset every connection once; new ones are served at once."""
        self._run(self._drop_connections())

    def half_open(self, *, serve_new_connections: bool = False) -> None:
        """Go silent: what is open stays open, and neither bytes nor the end of a connection get through.

        New connections are accepted and silent too, or with ``serve_new_connections`` served as before: that is
        how it looks when a firewall forgot the old ones. ``heal`` lets held bytes and ends through, in order.
        """
        self._run(self._half_open(serve_new_connections))

    def heal(self) -> None:
        """Forward again and listen again: ends ``cut`` and ``half_open``, keeps delay and bandwidth."""
        self._run(self._heal())

    def set_delay_ms(self, delay_ms: float) -> None:
        """Add this latency in each direction, without limiting the throughput."""
        self.line.delay_seconds = delay_ms / 1000

    def set_bandwidth(self, bytes_per_second: int | None) -> None:
        """Limit each direction of each connection; None is no limit."""
        self.line.bytes_per_second = bytes_per_second

    # Inside the loop's thread

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=_BACKLOG)
        self._listener.setblocking(False)
        # Not asyncio's server: one that is closed leaves what it has just taken in to the garbage collector.
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            taken, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        taken.setblocking(False)
        task = self._loop.create_task(self._serve(taken, self._drop_count))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, taken: socket.socket, drop_count: int) -> None:
        reader, writer = await asyncio.open_connection(sock=taken)
        link = Link(self.line, reader, writer)
        if drop_count != self._drop_count:  # taken in just before all were reset
            link.reset()
            return
        self.connection_count += 1
        self._links.add(link)
        try:
            await link.carry(self.upstream)
        finally:
            self._links.discard(link)

    async def _drop_connections(self) -> None:
        self._drop_count += 1
        for link in list(self._links):
            link.reset()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _cut(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._drop_connections()

    async def _half_open(self, serve_new_connections: bool) -> None:
        self.line.starts_silent = not serve_new_connections
        for link in self._links:
            link.is_open.clear()

    async def _heal(self) -> None:
        self.line.starts_silent = False
        for link in self._links:
            link.is_open.set()
        await self._listen()
