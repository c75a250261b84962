"""Downloads under way are bounded, however many clients ask at the same moment."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.file_store.catalogue import Catalogue
from cloud_assistant.producer.file_store.content_store import ContentStore, StoredFile
from cloud_assistant.producer.gateway.downloads.file_serving import DOWNLOADS_COUNT, FileServing

DATA = b"archive"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> FileServing:
    store = ContentStore(tmp_path / "files", limit_bytes=1000)
    store.put([DATA], sha256=SHA256)
    # Nothing here asks the catalogue, and so no server.
    return FileServing(store, Catalogue(Redis("redis://127.0.0.1:1/0")))


async def staying() -> MutableMapping[str, Any]:
    """Send nothing, and do not leave."""
    await asyncio.Event().wait()
    return {}


def statuses(files: FileServing, paths: list[str]) -> Counter[int]:
    """Ask for all of them at once, from clients that take nothing before everybody has been answered."""

    async def ask_all() -> Counter[int]:
        found: Counter[int] = Counter()
        everybody = asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                found[message["status"]] += 1
                if found.total() == len(paths):
                    everybody.set()
            await asyncio.wait_for(everybody.wait(), 20)

        scope = {"method": "GET", "query_string": b"", "headers": []}
        await asyncio.gather(*(files.serve(scope, path, staying, send) for path in paths))
        return found

    try:
        return asyncio.run(ask_all())
    finally:
        files.close()


def test_more_downloads_than_are_allowed_are_told_to_come_back(files: FileServing) -> None:
    assert statuses(files, [f"/files/{SHA256}"] * (DOWNLOADS_COUNT + 6)) == {200: DOWNLOADS_COUNT, 503: 6}


class WithdrawnMeanwhile(ContentStore):
    """A store from which a file goes between its being found and its being opened."""

    def find(self, sha256: str) -> StoredFile:
        found = super().find(sha256)
        self.delete(sha256)
        return found


def test_what_was_withdrawn_a_moment_ago_is_not_there(tmp_path: Path) -> None:
    store = WithdrawnMeanwhile(tmp_path / "files", limit_bytes=1000)
    store.put([DATA], sha256=SHA256)
    serving = FileServing(store, Catalogue(Redis("redis://127.0.0.1:1/0")))
    assert statuses(serving, [f"/files/{SHA256}"]) == {404: 1}


def test_what_is_not_there_takes_no_room(files: FileServing) -> None:
    absent = [f"/files/{'0' * 64}"] * DOWNLOADS_COUNT

    async def one_after_another() -> None:
        async def ignore(_message: MutableMapping[str, Any]) -> None:
            return None

        for path in absent:
            await files.serve({"method": "GET", "query_string": b"", "headers": []}, path, staying, ignore)

    asyncio.run(one_after_another())
    assert statuses(files, [f"/files/{SHA256}"]) == {200: 1}
