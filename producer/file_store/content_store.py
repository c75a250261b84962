"""Files by their digest, in a folder of the gateway's machine. Redis holds none of their bytes."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...broker_config.clock import now_ms
from ...broker_config.errors import NotFound, Refused, RequestInvalid
from ...broker_config.files.private_file import force_folder_to_disk
from ...broker_config.settings_table import Settings

SHA256 = re.compile(r"[0-9a-f]{64}")
_PART_SUFFIX = ".part"
_READ_BYTES = 1024 * 1024
#: Uploads that nobody has continued for this long are thrown away.
PART_LIFE_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class StoredFile:
    """One file of the store."""

    sha256: str
    size_bytes: int
    path: Path


class ContentStore:
    """The files of one folder; several processes may use it at the same time."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes

    @classmethod
    def of(cls, settings: Settings) -> "ContentStore":
        """The store that the settings name."""
        named = settings.gateway.files_folder
        folder = Path(named) if named else Path(settings.home) / "files"
        return cls(folder, limit_bytes=settings.gateway.files_bytes)

    def put(self, parts: Iterable[bytes], *, sha256: str) -> StoredFile:
        """Take a file in; it is there whole, with this digest, or not at all.

        Raises:
            Refused: the content has another digest (``DigestMismatch``) or is too large (``FileTooLarge``).
            RequestInvalid: the digest is malformed. OSError: the disk does not take it.
        """
        path = self._path(sha256)
        if path.is_file():
            return self.find(sha256)
        temporary = path.with_name(f"{sha256}.{secrets.token_hex(8)}{_PART_SUFFIX}")
        self._make_folder(path)
        found = hashlib.sha256()
        size_bytes = 0
        try:
            with _created(temporary) as file:
                for part in parts:
                    size_bytes += len(part)
                    self._require_room(size_bytes)
                    found.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            if found.hexdigest() != sha256:
                raise _mismatch(sha256, found.hexdigest())
            temporary.replace(path)
            # Its catalogue entry is kept by another machine, which may not lose power with this one.
            force_folder_to_disk(path.parent)
            force_folder_to_disk(self.folder)
        finally:
            temporary.unlink(missing_ok=True)
        return StoredFile(sha256, size_bytes, path)

    def append_part(self, sha256: str, offset_bytes: int, part: bytes) -> int:
        """Take in the next piece of an upload; answers how much of it is there now.

        A piece that does not begin where the last one ended changes nothing: the answer says where to go on.

        Raises:
            Refused: it becomes too large (``FileTooLarge``). RequestInvalid, OSError: as for ``put``.
        """
        path = self._path(sha256)
        if path.is_file():
            return path.stat().st_size
        temporary = path.with_name(sha256 + _PART_SUFFIX)
        self._make_folder(path)
        if not offset_bytes:
            # Where uploads are only ever begun, nothing else would throw away what became of them.
            self.remove_leftovers()
        # A later piece begins nothing: what it belonged to may have been published a moment ago.
        create = 0 if offset_bytes else os.O_CREAT
        try:
            descriptor = os.open(temporary, os.O_WRONLY | create | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except FileNotFoundError:
            return path.stat().st_size if path.is_file() else 0
        with os.fdopen(descriptor, "wb") as file:
            there_bytes = os.fstat(file.fileno()).st_size
            if offset_bytes != there_bytes:
                return there_bytes
            self._require_room(there_bytes + len(part))
            file.seek(there_bytes)
            file.write(part)
        if not offset_bytes and path.is_file():
            # Published by another since it was looked for, who has thrown the pieces away already.
            temporary.unlink(missing_ok=True)
            return path.stat().st_size
        return there_bytes + len(part)

    def finish_parts(self, sha256: str) -> StoredFile:
        """Take in an upload whose pieces are all there.

        Raises:
            Refused: together they have another digest (``DigestMismatch``); they are thrown away.
            NotFound: nothing was uploaded (``FileNotFound``). OSError: the disk does not take it; the pieces stay.
        """
        path = self._path(sha256)
        if path.is_file():
            return self.find(sha256)
        temporary = path.with_name(sha256 + _PART_SUFFIX)
        try:
            # What is copied is judged. The pieces stay meanwhile: others may upload and publish the same just now.
            with temporary.open("rb") as file:
                stored = self.put(iter(lambda: file.read(_READ_BYTES), b""), sha256=sha256)
        except FileNotFoundError as exc:
            if path.is_file():
                return self.find(sha256)
            raise _not_found(sha256) from exc
        except Refused:
            temporary.unlink(missing_ok=True)
            raise
        temporary.unlink(missing_ok=True)
        return stored

    def find(self, sha256: str) -> StoredFile:
        """Find a file.

        Raises:
            NotFound: there is none (``FileNotFound``). RequestInvalid: the digest is malformed.
        """
        path = self._path(sha256)
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError as exc:
            raise _not_found(sha256) from exc
        return StoredFile(sha256, size_bytes, path)

    def list(self) -> list[StoredFile]:
        """List all files, by digest."""
        names = sorted(path.name for path in self.folder.glob("??/*") if SHA256.fullmatch(path.name))
        return [self.find(name) for name in names]

    def delete(self, sha256: str) -> bool:
        """Delete a file; false when it was not there. Downloads under way end as they would have."""
        path = self._path(sha256)
        was_there = path.is_file()
        path.unlink(missing_ok=True)
        return was_there

    def remove_leftovers(self) -> int:
        """Throw away what uploads left that ended in the middle; answers how many there were."""
        removed_count = 0
        for path in self.folder.glob(f"??/*{_PART_SUFFIX}"):
            try:
                is_old = now_ms() - path.stat().st_mtime * 1000 > PART_LIFE_MS
            except FileNotFoundError:
                # Another upload ended, or another process was quicker.
                continue
            if is_old:
                path.unlink(missing_ok=True)
                removed_count += 1
        return removed_count

    def _path(self, sha256: str) -> Path:
        # The digest's form is checked here, once, and so no name leads out of the folder.
        if not SHA256.fullmatch(sha256):
            raise RequestInvalid(f"{sha256[:80]!r} is not a SHA-256 in hexadecimal", code="InvalidDigest")
        return self.folder / sha256[:2] / sha256

    def _make_folder(self, path: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)

    def _require_room(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise Refused(
                f"the file is larger than {self._limit_bytes} bytes; raise gateway.files_bytes to take it",
                code="FileTooLarge",
            )


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _mismatch(wanted: str, found: str) -> Refused:
    return Refused(
        f"the content has the SHA-256 {found}, not {wanted}; nothing was stored, send it again", code="DigestMismatch"
    )


def _not_found(sha256: str) -> NotFound:
    return NotFound(f"there is no file {sha256} here; publish it first", code="FileNotFound")
