"""TLS in front of a server that speaks none: takes TLS connections and carries their bytes on in clear."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.certificates import Certificate
from harness.ports import reserve_port

_CHUNK_BYTES = 64 * 1024


class TlsTerminator:
    """A loopback port with TLS before another one without; runs in a thread of its own.

    ``client_ca`` makes it want a client certificate by that CA.
    """

    def __init__(self, upstream_port: int, certificate: Certificate, *, client_ca: Path | None = None) -> None:
        self._upstream_port = upstream_port
        self._reserved = reserve_port()
        self.port = self._reserved.number
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.cert, certificate.key)
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tls:{self.port}", daemon=True)
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        #: How many connections have got through the handshake.
        self.connection_count = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._reserved.release()

    def renew(self, certificate: Certificate) -> None:
        """Use another certificate for connections from now on."""
        self._context.load_cert_chain(certificate.cert, certificate.key)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    async def _listen(self) -> None:
        # A client that breaks off its handshake is what many tests are about, and no error of ours.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connection_count += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            behind, before = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            carrying = [asyncio.ensure_future(_carry(reader, before)), asyncio.ensure_future(_carry(behind, writer))]
            try:
                await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Before anything is waited for: the end of the test may cancel that.
                before.close()
                for one in carrying:
                    one.cancel()
                await asyncio.gather(*carrying, return_exceptions=True)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
