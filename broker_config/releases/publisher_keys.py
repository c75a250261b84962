"""The keys of publishers on disk: private ones where archives are signed, public ones where they are installed."""

import os
import stat
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from ..errors import Refused, SettingsInvalid
from ..files.named_file import read_small_file
from ..files.presence import is_folder
from ..files.private_file import force_folder_to_disk
from ..settings_table import Settings
from .publisher_signing import key_id_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FILE_NAME = "publisher-key.pem"
#: Public keys in a folder of publishers end so.
PUBLIC_SUFFIX = ".pub"
_LIMIT_BYTES = 4096


def private_key_path(settings: Settings) -> Path:
    """Where the private key is, or would be."""
    if settings.security.publisher_key_file:
        return Path(settings.security.publisher_key_file)
    return Path(settings.home) / FILE_NAME


def create_private_key(path: Path) -> "Ed25519PrivateKey":
    """Make a private key in a file that only its owner may read.

    Raises:
        Refused: there is one (``PublisherKeyExists``). OSError: the file cannot be written.
    """
    from cryptography.hazmat.primitives import serialization  # lazy: 20 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # lazy: as above

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise Refused(
            f"there is a publisher key in {path}; agents trust it, so it is never replaced; name another file",
            code="PublisherKeyExists",
        ) from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        # A half of a key, which would be taken for one that agents trust.
        path.unlink()
        raise
    force_folder_to_disk(path.parent)
    return key


def read_private_key(path: Path) -> "Ed25519PrivateKey":
    """Read a private key.

    Raises:
        SettingsInvalid: it is missing, open to other users, or none of ours.
    """
    from cryptography.hazmat.primitives import serialization  # lazy: 20 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # lazy: as above

    try:
        mode = path.stat().st_mode
        key = serialization.load_pem_private_key(read_small_file(path), password=None)
    except FileNotFoundError as exc:
        raise SettingsInvalid(
            f"there is no publisher key in {path}; make one with `assist publisher key create`"
        ) from exc
    except (OSError, ValueError, TypeError) as exc:
        raise SettingsInvalid(f"publisher key {path}: {exc}") from exc
    if os.name == "posix" and mode & 0o077:
        raise SettingsInvalid(f"publisher key {path} is open to other users; run: chmod 600 {quote(str(path))}")
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsInvalid(f"publisher key {path} is not one of Ed25519")
    return key


def public_text(key: "Ed25519PublicKey") -> str:
    """Write a public key as PEM, for the folder of publishers."""
    from cryptography.hazmat.primitives import serialization  # lazy: 20 ms

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def read_publishers(folder: Path) -> "dict[str, Ed25519PublicKey]":
    """Read the public keys that are trusted on this machine, by id; an absent folder trusts nobody.

    Raises:
        SettingsInvalid: somebody else than root and the user of this process could have put a key there, or a file
            is no key.
    """
    if not is_folder(folder):
        return {}
    _require_ours(folder)
    found = {}
    for path in sorted(folder.glob(f"*{PUBLIC_SUFFIX}")):
        key = read_public_key(path)
        found[key_id_of(key)] = key
    return found


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """Read one public key that nobody else could have put there.

    Raises:
        SettingsInvalid: it is open to other users, or no public key of Ed25519.
    """
    from cryptography.hazmat.primitives import serialization  # lazy: 20 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # lazy: as above

    _require_ours(path)
    try:
        with path.open("rb") as file:
            key = serialization.load_pem_public_key(file.read(_LIMIT_BYTES))
    except (OSError, ValueError) as exc:
        raise SettingsInvalid(f"publisher {path}: {exc}") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsInvalid(f"publisher {path}: not a public key of Ed25519")
    return key


def _require_ours(path: Path) -> None:
    if os.name != "posix":
        return
    try:
        found = path.stat()
    except OSError as exc:
        raise SettingsInvalid(f"publishers: {path}: {exc.strerror}") from exc
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsInvalid(
            f"publishers: {path} may be changed by others than root, so it says nothing;"
            f" run: chown root {quote(str(path))} && chmod go-w {quote(str(path))}"
        )
