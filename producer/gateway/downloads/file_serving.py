"""Serve what agents download: ``/files/<sha256>``, and ``/packages/<name>/<version>/<os>/<arch>`` with its signature.

Without authentication, on purpose: a machine that is only about to join has no credentials, what is served is no
secret, and nobody is to trust it for where it came from, but for the publisher's signature.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

from starlette.types import Receive, Scope, Send

from ....broker_config.errors import CloudAssistantError, NotFound, Refused
from ....broker_config.programs.program_log import logger
from ...file_store.catalogue import Catalogue
from ...file_store.content_store import ContentStore, StoredFile
from ..serving.client_address import ClientAddresses, network_of
from ..serving.http_messages import HttpRequest, text_reply
from ..serving.sending import send_reply
from .download_places import DownloadPlace, DownloadPlaces
from .file_ranges import FilePart, part_of

#: Downloads at the same time; more are told to come back.
DOWNLOADS_COUNT = 64
#: How slowly a client may take a piece is the connection's matter. With TLS, two of them may be left when a connection
#: is closed, and asyncio gives that half a minute: at the least rate it is enough for these, and not for larger ones.
_CHUNK_BYTES = 128 * 1024
_BYTES_TYPE = "application/octet-stream"

_FILE_PATH = re.compile(r"/files/([0-9a-f]{64})")
_PACKAGE_PATH = re.compile(r"/packages/([^/%]{1,64})/([^/%]{1,64})/([a-z0-9]{1,32})/([a-z0-9_]{1,32})")

Result = TypeVar("Result")
Header = tuple[bytes, bytes]

_log = logger("gateway")


class FileServing:
    """The downloads of one gateway."""

    def __init__(
        self, store: ContentStore, catalogue: Catalogue, client_addresses: ClientAddresses | None = None
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._client_addresses = client_addresses or ClientAddresses()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="gateway-files")
        self._places = DownloadPlaces(DOWNLOADS_COUNT)

    @staticmethod
    def serves(path: str) -> bool:
        """Tell whether a path is one of these."""
        return path.startswith(("/files/", "/packages/"))

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)

    async def serve(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        """Answer one request, in pieces, as fast as the client takes them."""
        request = HttpRequest.of(scope, path)
        if request.method not in ("GET", "HEAD"):
            await send_reply(send, text_reply(405, "use GET, HEAD\n", {"allow": "GET, HEAD"}))
            return
        found = _FILE_PATH.fullmatch(path)
        try:
            if found is None:
                await self._serve_signature(path, send)
                return
            # From here on, not once the file is open: those who ask together would all find room.
            place = self._places.take(network_of(self._client_addresses.of_request(scope.get("client"), request)))
            if place is None:
                busy = text_reply(503, "too many downloads at the same time\n", {"retry-after": "5"})
                await send_reply(send, busy)
                return
            try:
                await self._serve_file(request, found[1], place, receive, send)
            finally:
                self._places.give_back(place)
        except NotFound:
            await send_reply(send, text_reply(404, "not found\n"))
        except CloudAssistantError as exc:
            _log.warning("a download failed path=%s reason=%s", path, exc)
            await send_reply(send, text_reply(503, "the store behind this gateway does not answer\n"))

    async def _serve_signature(self, path: str, send: Send) -> None:
        found = _PACKAGE_PATH.fullmatch(path)
        if found is None:
            raise NotFound(path)
        name, version, os, arch = found.groups()
        entry = await self._in_thread(lambda: self._catalogue.find(name, version, os=os, arch=arch))
        await send_reply(send, text_reply(200, entry.signed.text))

    async def _serve_file(
        self, request: HttpRequest, sha256: str, place: DownloadPlace, receive: Receive, send: Send
    ) -> None:
        stored, file = await self._in_thread(lambda: self._opened(sha256))
        try:
            # The name is the digest, so what stands under it never changes.
            etag = f'"{sha256}"'
            part = part_of(request, etag=etag, size_bytes=stored.size_bytes)
            await send(_start(part, stored, etag))
            if request.method == "HEAD" or not part.size_bytes:
                await send({"type": "http.response.body", "body": b""})
                return
            if not await _completed(self._send_part(file, part, send), (place.lost.wait(), _client_left(receive))):
                reason = "its place was needed" if place.lost.is_set() else "the client left or was too slow"
                _log.info("a download broke off file=%s: %s", sha256, reason)
        finally:
            file.close()

    async def _send_part(self, file: BinaryIO, part: FilePart, send: Send) -> None:
        await self._in_thread(lambda: file.seek(part.first))
        left_bytes = part.size_bytes
        while left_bytes:
            wanted_bytes = min(left_bytes, _CHUNK_BYTES)
            data = await self._in_thread(lambda: file.read(wanted_bytes))  # noqa: B023  # awaited before it changes
            if not data:
                raise OSError(f"a file of the store became shorter while it was read: {file.name}")
            left_bytes -= len(data)
            await send({"type": "http.response.body", "body": data, "more_body": left_bytes > 0})

    def _opened(self, sha256: str) -> tuple[StoredFile, BinaryIO]:
        try:
            stored = self._store.find(sha256)
            return stored, stored.path.open("rb")
        except FileNotFoundError as exc:
            raise NotFound(sha256) from exc
        except OSError as exc:
            raise Refused(
                f"{exc.filename} cannot be read: {exc.strerror}; let the gateway's user read it", code="FileNotReadable"
            ) from exc

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


async def _completed(work: Coroutine[Any, Any, None], ends: Iterable[Coroutine[Any, Any, object]]) -> bool:
    """Work until that is done, or one of the ends has come; tell whether it was done. What it raises is raised."""
    working = asyncio.ensure_future(work)
    tasks = {working, *map(asyncio.ensure_future, ends)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if working.cancelled():
        return False
    working.result()
    return True


async def _client_left(receive: Receive) -> None:
    """Wait until the client is gone; what it still sends is thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(part: FilePart, stored: StoredFile, etag: str) -> dict[str, object]:
    headers: list[Header] = [
        (b"etag", etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"public, max-age=31536000, immutable"),
    ]
    if part.http_status != 304:
        headers += [(b"content-type", _BYTES_TYPE.encode()), (b"content-length", str(part.size_bytes).encode())]
    if part.http_status == 206:
        last = part.first + part.size_bytes - 1
        headers.append((b"content-range", f"bytes {part.first}-{last}/{stored.size_bytes}".encode()))
    if part.http_status == 416:
        headers.append((b"content-range", f"bytes */{stored.size_bytes}".encode()))
    return {"type": "http.response.start", "status": part.http_status, "headers": headers}
