"""Files are stored whole, under their digest, or not at all."""

import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import NotFound, Refused, RequestInvalid
from cloud_assistant.producer.file_store.content_store import PART_LIFE_MS, ContentStore

CONTENT = b"some bytes" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "files", limit_bytes=100_000)


def test_a_file_is_found_listed_and_deleted_by_its_digest(store: ContentStore) -> None:
    store.put([CONTENT[:10], CONTENT[10:]], sha256=DIGEST)
    assert store.find(DIGEST).path.read_bytes() == CONTENT
    assert [one.sha256 for one in store.list()] == [DIGEST]
    assert store.delete(DIGEST)
    assert not store.delete(DIGEST)
    with pytest.raises(NotFound):
        store.find(DIGEST)


def test_other_content_than_promised_leaves_nothing(store: ContentStore, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing was stored"):
        store.put([b"something else"], sha256=DIGEST)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_over_the_limit_leaves_nothing(tmp_path: Path) -> None:
    small = ContentStore(tmp_path / "files", limit_bytes=5_000)
    with pytest.raises(Refused) as refused:
        small.put([CONTENT], sha256=DIGEST)
    assert refused.value.code == "FileTooLarge"
    with pytest.raises(Refused):
        small.append_part(DIGEST, 0, CONTENT)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", DIGEST.upper(), DIGEST + "0", DIGEST[:-1] + "/"])
def test_what_is_no_digest_names_no_file(store: ContentStore, name: str) -> None:
    for act in (store.find, store.delete, store.finish_parts):
        with pytest.raises(RequestInvalid):
            act(name)


def test_an_upload_goes_on_where_it_ended(store: ContentStore) -> None:
    assert store.append_part(DIGEST, 0, CONTENT[:4000]) == 4000
    # A piece sent twice, and one from beyond the end, change nothing.
    assert store.append_part(DIGEST, 0, CONTENT[:4000]) == 4000
    assert store.append_part(DIGEST, 9000, CONTENT[9000:]) == 4000
    assert store.append_part(DIGEST, 4000, CONTENT[4000:]) == len(CONTENT)
    assert store.finish_parts(DIGEST).size_bytes == len(CONTENT)
    assert store.append_part(DIGEST, 0, CONTENT[:4000]) == len(CONTENT)


@pytest.mark.parametrize("seed", range(6))
def test_those_who_upload_the_same_at_once_all_succeed(tmp_path: Path, seed: int) -> None:
    """As through several gateways of one machine: one has published it while others still send, or publish too."""
    content = bytes([seed]) * (2 << 20)
    digest = hashlib.sha256(content).hexdigest()
    begin = threading.Barrier(6)

    def publish(_: int) -> int:
        own, sent_bytes = ContentStore(tmp_path / "files", limit_bytes=len(content)), 0
        begin.wait(20)
        while sent_bytes < len(content):
            sent_bytes = own.append_part(digest, sent_bytes, content[sent_bytes : sent_bytes + (1 << 18)])
        return own.finish_parts(digest).size_bytes

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(publish, range(6))) == [len(content)] * 6
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == [digest]


def test_an_upload_that_begins_as_another_publishes_leaves_no_piece(store: ContentStore, tmp_path: Path) -> None:
    class Slow(ContentStore):
        def remove_leftovers(self) -> int:
            # It has looked for the file, and not begun its own yet.
            store.put([CONTENT], sha256=DIGEST)
            return 0

    assert Slow(store.folder, limit_bytes=10_000).append_part(DIGEST, 0, CONTENT[:4000]) == len(CONTENT)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [DIGEST]


def test_a_later_piece_of_what_nobody_has_begun_leaves_nothing(store: ContentStore, tmp_path: Path) -> None:
    assert store.append_part(DIGEST, 4000, CONTENT[4000:]) == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(os.name != "posix", reason="there are no such modes there")
def test_nobody_else_can_change_what_is_served_whatever_the_mask(store: ContentStore) -> None:
    before = os.umask(0)
    try:
        stored = store.put([CONTENT], sha256=DIGEST)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (store.folder, stored.path.parent, stored.path)]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.skipif(os.name != "posix", reason="only some may make links there")
def test_a_piece_is_not_written_through_a_link(store: ContentStore, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.touch()
    store.append_part(DIGEST, 0, CONTENT[:10])
    [part] = store.folder.rglob(f"{DIGEST}.part")
    part.unlink()
    part.symlink_to(precious)
    with pytest.raises(OSError, match=DIGEST):
        store.append_part(DIGEST, 0, CONTENT)
    assert precious.read_bytes() == b""


def test_an_upload_of_something_else_is_thrown_away(store: ContentStore, tmp_path: Path) -> None:
    store.append_part(DIGEST, 0, b"something else")
    with pytest.raises(Refused) as refused:
        store.finish_parts(DIGEST)
    assert refused.value.code == "DigestMismatch"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_upload_that_is_begun_throws_away_what_others_gave_up(store: ContentStore, tmp_path: Path) -> None:
    given_up, going_on = "1" * 64, "2" * 64
    store.append_part(given_up, 0, b"x")
    store.append_part(going_on, 0, b"x")
    (old,) = tmp_path.rglob(f"{given_up}.part")
    long_ago = (now_ms() - PART_LIFE_MS) / 1000 - 60
    os.utime(old, (long_ago, long_ago))
    store.append_part(DIGEST, 0, CONTENT[:4000])
    assert sorted(path.name for path in tmp_path.rglob("*.part")) == sorted((f"{going_on}.part", f"{DIGEST}.part"))


def test_a_leftover_that_goes_away_meanwhile_is_passed_over(store: ContentStore, tmp_path: Path) -> None:
    store.append_part(DIGEST, 0, b"x")
    # What another process has just removed looks like this to whoever has its name still.
    (tmp_path / "files" / DIGEST[:2] / "gone.part").symlink_to(tmp_path / "nowhere")
    assert store.remove_leftovers() == 0


@pytest.mark.skipif(os.name != "posix", reason="no folder can be forced to disk there")
def test_a_file_that_was_taken_in_outlives_a_power_failure(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = []
    force = os.fsync

    def noted(descriptor: int) -> None:
        forced.append(
            (Path(f"/proc/self/fd/{descriptor}").readlink().name, (store.folder / DIGEST[:2] / DIGEST).exists())
        )
        force(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    store.put([CONTENT], sha256=DIGEST)
    # Its content before it has its name; the name in its folder, and the folder's own, afterwards.
    assert [is_there for _, is_there in forced] == [False, True, True]
    assert [name for name, _ in forced[1:]] == [DIGEST[:2], store.folder.name]
