"""One proxied connection: two directions that carry bytes late, slowly, or not at all."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass

_CHUNK_BYTES = 64 * 1024
#: What one direction may hold back; past it the sender feels the back-pressure that a full line gives.
_HELD_BYTES_MAX = 4 * 1024 * 1024


@dataclass
class Line:
    """How every connection of one proxy behaves; changed while they run."""

    delay_seconds: float = 0
    bytes_per_second: int | None = None
    starts_silent: bool = False


class Link:
    """A client's connection and the one to the server behind it."""

    def __init__(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line = line
        self.is_open = asyncio.Event()
        if not line.starts_silent:
            self.is_open.set()
        self._client = (reader, writer)
        self._writers = [writer]
        self._carrying: asyncio.Task[None] | None = None

    async def carry(self, upstream: tuple[str, int]) -> None:
        """Connect to the server and carry both directions until both have ended or ``reset`` is called."""
        self._carrying = asyncio.ensure_future(self._carry(upstream))
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await self._carrying
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def reset(self) -> None:
        """Break both sides with RST, which a crashed machine or a firewall's refusal looks like."""
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if self._carrying is not None:
            self._carrying.cancel()

    async def _carry(self, upstream: tuple[str, int]) -> None:
        # A silent line does not even open the far side: the server never hears of this client.
        await self.is_open.wait()
        try:
            server_reader, server_writer = await asyncio.open_connection(*upstream)
        except OSError:
            self.reset()  # nothing listens behind us: the client shall see what it would see without us
            return
        self._writers.append(server_writer)
        client_reader, client_writer = self._client
        async with asyncio.TaskGroup() as directions:
            directions.create_task(Direction(self, client_reader, server_writer).carry())
            directions.create_task(Direction(self, server_reader, client_writer).carry())


class Direction:
    """Bytes from one side to the other: read as they come, written when they are due."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._reader = reader
        self._writer = writer
        #: (due time, bytes); empty bytes are the end of the connection.
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()

    async def carry(self) -> None:
        reading = asyncio.ensure_future(self._read())
        try:
            await self._write()
        except OSError:
            self._link.reset()
        finally:
            reading.cancel()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"?"
        while data:
            while self._held_bytes > _HELD_BYTES_MAX:
                self._changed.clear()
                await self._changed.wait()
            try:
                data = await self._reader.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            self._held.append((loop.time() + self._link.line.delay_seconds, data))
            self._held_bytes += len(data)
            self._changed.set()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._held:
                self._changed.clear()
                await self._changed.wait()
            due, data = self._held[0]
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._link.is_open.wait()
            self._held.popleft()
            self._held_bytes -= len(data)
            self._changed.set()
            if not data:
                self._writer.write_eof()
                return
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        limit = self._link.line.bytes_per_second
        # A tenth of a second's worth at a time, so that a slow line is slow and not merely late.
        step = len(data) if limit is None else max(1, limit // 10)
        for start in range(0, len(data), step):
            part = data[start : start + step]
            await self._link.is_open.wait()
            self._writer.write(part)
            await self._writer.drain()
            if limit is not None:
                await asyncio.sleep(len(part) / limit)
