"""Put a signed bundle of the agent beside the versions that are there, whole or not at all."""

import contextlib
import hashlib
import platform
import secrets
from pathlib import Path

import msgspec

from ...broker_config.errors import Refused
from ...broker_config.releases.publisher_signing import AGENT_NAME, Statement, system_of
from ...broker_config.untrusted_input import UntrustedDecoder
from .installation import PROGRAM, Installation
from .unpacking import remove, unpack


class _File(msgspec.Struct):
    sha256: str
    size: int
    mode: str | int


class _Manifest(msgspec.Struct):
    name: str
    version: str
    os: str
    arch: str
    files: dict[str, _File]


_decoder = UntrustedDecoder(msgspec.json.Decoder(_Manifest))


def this_system() -> tuple[str, str]:
    """The system and the processor of this machine, as bundles name them."""
    return system_of(platform.system(), platform.machine())


def check_fits(statement: Statement) -> None:
    """Check that a statement is about an agent for this machine.

    Raises:
        Refused: it is not (``WrongArchive``).
    """
    system, arch = this_system()
    if statement.name != AGENT_NAME or (statement.os, statement.arch) != (system, arch):
        raise Refused(f"{statement} is not an agent for {system}/{arch}", code="WrongArchive")


def install_bundle(archive: Path, statement: Statement, installation: Installation) -> None:
    """Unpack a verified archive beside the others; the version that the link leads to is checked and kept.

    Any other of that name was unpacked for an earlier order, which another publisher may have signed, and goes.

    Raises:
        Refused: the archive is unsafe, broken, or not what its manifest says.
        OSError: the disk does not take it.
    """
    target = installation.version_folder(statement.version)
    if target.is_dir() and installation.current() == statement.version:
        _check_manifest(target, statement)
        return
    fresh, former = (target.with_name(f".{statement.version}.{secrets.token_hex(4)}") for _ in range(2))
    try:
        unpack(archive, fresh, strip_top=f"{AGENT_NAME}-{statement.version}")
        _check_manifest(fresh, statement)
        with contextlib.suppress(FileNotFoundError):
            # Aside first: it may be on trial just now, and shall miss no file for long.
            target.rename(former)
        fresh.rename(target)
    finally:
        remove(fresh)
        remove(former)


def _check_manifest(folder: Path, statement: Statement) -> None:
    try:
        manifest = _decoder.decode((folder / "manifest.json").read_bytes())
    except (OSError, msgspec.MsgspecError) as exc:
        raise Refused(f"the bundle of {statement} has no readable manifest: {exc}", code="ArchiveBroken") from exc
    said = (manifest.name, manifest.version, manifest.os, manifest.arch)
    if said != (statement.name, statement.version, statement.os, statement.arch):
        raise Refused(f"the bundle says it is {' '.join(said)}, signed was {statement}", code="ArchiveBroken")
    if str(PROGRAM) not in manifest.files:
        raise Refused(f"the bundle of {statement} has no {PROGRAM}", code="ArchiveBroken")
    for name, told in manifest.files.items():
        path = folder / name
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"the bundle of {statement} lacks {name[:200]!r}", code="ArchiveBroken")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != told.sha256:
                raise Refused(
                    f"the bundle of {statement} holds another {name[:200]!r} than listed", code="ArchiveBroken"
                )
