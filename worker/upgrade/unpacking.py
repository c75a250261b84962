"""Unpack a signed archive into a folder: nothing lands outside of it, and nothing is more than it should be."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from ...broker_config.errors import Refused

#: How large an archive may be unpacked, and how many files it may hold.
LIMIT_BYTES = 4 * 1024 * 1024 * 1024
LIMIT_COUNT = 100_000
_COPY_BYTES = 1024 * 1024


def unpack(archive: Path, target: Path, *, strip_top: str = "") -> None:
    """Unpack into a new folder; with ``strip_top`` everything lies below that folder in the archive.

    Only folders, regular files and links that stay inside are taken; owners, setuid and write permission of others
    are not. Everything is on the disk when this returns.

    Raises:
        Refused: the archive holds something else (``ArchiveUnsafe``), or is broken (``ArchiveBroken``).
        OSError: the disk does not take it.
    """
    _make_folder(target.parent)
    target.mkdir()
    target.chmod(0o755)
    size_bytes = count = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            links = []
            for member in tar:
                count += 1
                size_bytes += member.size
                if size_bytes > LIMIT_BYTES or count > LIMIT_COUNT:
                    raise _unsafe(member, "makes it too large")
                path = _path_inside(member, target, strip_top)
                if path is None:
                    continue
                if member.issym():
                    links.append((member, path))
                else:
                    _write(tar, member, path)
            # Last, so that nothing is ever written through one.
            for member, path in links:
                _link(member, path, target)
    except (tarfile.TarError, EOFError, zlib.error) as exc:
        raise Refused(f"{archive.name} cannot be unpacked: {exc}", code="ArchiveBroken") from exc
    _sync(target)


def remove(folder: Path) -> None:
    """Remove what was unpacked, as far as it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def _path_inside(member: tarfile.TarInfo, target: Path, strip_top: str) -> Path | None:
    pure = PurePosixPath(member.name)
    parts = [part for part in pure.parts if part != "."]
    if pure.is_absolute() or ".." in parts or "\\" in member.name or ":" in member.name:
        raise _unsafe(member, "leads out of the folder")
    if strip_top:
        if not parts or parts[0] != strip_top:
            raise _unsafe(member, f"is not below {strip_top}/")
        parts = parts[1:]
    return target.joinpath(*parts) if parts else None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        _make_folder(path)
        return
    if not member.isreg():
        raise _unsafe(member, "is neither a file nor a folder nor a link inside")
    _make_folder(path.parent)
    source = tar.extractfile(member)
    if source is None:
        raise _unsafe(member, "has no content")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as exc:
        raise _unsafe(member, "is in it twice") from exc
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(source, file, _COPY_BYTES)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it with our mode, whatever mask the agent's service was given."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir()
        one.chmod(0o755)
    if not missing:
        # Says so where something else is in the way.
        path.mkdir(exist_ok=True)


def _link(member: tarfile.TarInfo, path: Path, target: Path) -> None:
    aim = PurePosixPath(member.linkname)
    resolved = Path(os.path.normpath(path.parent / aim))
    # Upwards first and then down: a way up behind another link could lead anywhere.
    climbs_late = ".." in aim.parts[next((n for n, part in enumerate(aim.parts) if part != ".."), len(aim.parts)) :]
    if aim.is_absolute() or climbs_late or not resolved.is_relative_to(target) or path.exists() or path.is_symlink():
        raise _unsafe(member, f"is a link to {member.linkname!r}")
    _make_folder(path.parent)
    if path.parent.resolve() != target.resolve() / path.parent.relative_to(target):
        raise _unsafe(member, "lies behind a link")
    path.symlink_to(member.linkname)


def _sync(folder: Path) -> None:
    """Have the file system write what it was given: a version that is half on disk must never be started."""
    if hasattr(os, "sync"):
        os.sync()
    else:
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())


def _unsafe(member: tarfile.TarInfo, what: str) -> Refused:
    return Refused(f"the archive is refused: {member.name[:200]!r} {what}", code="ArchiveUnsafe")
