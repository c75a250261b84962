"""Read the audit: newest first for people, oldest first for whoever checks or keeps it."""

from collections.abc import Callable, Iterator

import msgspec

from ...broker_config import keys
from ...broker_config.audit.entry import AuditEntry, decode_entry
from ...broker_config.redis.client import Redis

_CHUNK_COUNT = 1_000


class StoredEntry(msgspec.Struct, frozen=True):
    """One place in the chain, as it stands there."""

    stream_id: str
    number: int
    body: bytes
    mac: str

    @property
    def entry(self) -> AuditEntry:
        """What it says.

        Raises:
            msgspec.MsgspecError: the bytes are no entry of ours.
        """
        return decode_entry(self.body)


def oldest_first(redis: Redis) -> Iterator[StoredEntry]:
    """All entries in the order of the stream."""
    return _entries(redis, "XRANGE", "-", "+")


def newest_first(redis: Redis, *, since_ms: int = 0) -> Iterator[StoredEntry]:
    """All entries that Redis took since a moment, the latest first."""
    return _entries(redis, "XREVRANGE", "+", str(since_ms))


def _entries(redis: Redis, command: str, begin: str, end: str) -> Iterator[StoredEntry]:
    while True:
        found = redis.call(command, keys.AUDIT, begin, end, "COUNT", _CHUNK_COUNT)
        for place, fields in found:
            yield _stored(place, fields)
        if len(found) < _CHUNK_COUNT:
            return
        begin = f"({found[-1][0].decode()}"


def selected(
    entries: Iterator[StoredEntry], keep: Callable[[AuditEntry], bool], most_count: int
) -> list[tuple[StoredEntry, AuditEntry]]:
    """Entries that are wanted, as many as wanted; what is no entry of ours is left to ``verify``."""
    found: list[tuple[StoredEntry, AuditEntry]] = []
    for stored in entries:
        if len(found) == most_count:
            break
        try:
            entry = stored.entry
        except msgspec.MsgspecError:
            continue
        if keep(entry):
            found.append((stored, entry))
    return found


def _stored(place: bytes, fields: list[bytes]) -> StoredEntry:
    given = dict(zip(fields[::2], fields[1::2], strict=True))
    number = given.get(b"number", b"")
    return StoredEntry(
        place.decode(),
        int(number) if number.isdigit() and len(number) <= 15 else -1,
        given.get(b"body", b""),
        given.get(b"mac", b"").decode("utf-8", "replace"),
    )
