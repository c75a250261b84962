"""Publisher signatures: who made an archive, told without trusting the server that it comes from.

A signature is a small text beside the archive, four lines that a shell script can take apart as well::

    cloud-assistant signature 1
    key 91b1d1a3b2c3d4e5
    signature <Base64 of the 64 bytes of Ed25519>
    statement {"v":1,"name":…,"version":…,"os":…,"arch":…,"sha256":…,"size":…}

Signed are the bytes of the statement as they stand there. ``openssl pkeyutl -verify -rawin`` checks them too.
The id of a key is the beginning of the SHA-256 of the 32 bytes of its public half.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from ..errors import Refused, RequestInvalid
from ..files.named_file import open_to_the_end

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: The name of the agent's own archives; every other name is one of a package.
AGENT_NAME = "cloud-assistant-agent"
#: An archive for every system, or every processor.
ANY = "any"
SYSTEMS = ("linux", "windows", "freebsd", "darwin")
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "x64": "x86_64"}
#: What goes behind an archive's name to make that of its signature.
SUFFIX = ".sig"
#: More than any signature has.
LIMIT_BYTES = 4096

_TITLE = "cloud-assistant signature 1"
_READ_BYTES = 1024 * 1024
_KEY_ID_CHARACTERS = 16
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_LINES = re.compile(
    rf"{_TITLE}\nkey (?P<key>[0-9a-f]{{16}})\nsignature (?P<signature>[A-Za-z0-9+/=]+)\n"
    r"statement (?P<statement>[^\n]+)\n?"
)


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a publisher says of an archive."""

    v: int = 1
    name: str
    version: str
    os: str
    arch: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version} for {self.os}/{self.arch}"


class Signed(msgspec.Struct, frozen=True):
    """A signature that was read and not yet verified."""

    text: str
    key_id: str
    signature: bytes
    message: bytes
    statement: Statement


def checked_statement(statement: Statement) -> Statement:
    """Give the statement back when each of its words may stand in a path and a URL.

    Raises:
        RequestInvalid: it may not (``InvalidStatement``).
    """
    rules = (
        ("name", _NAME, statement.name),
        ("version", _VERSION, statement.version),
        ("os", _WORD, statement.os),
        ("arch", _WORD, statement.arch),
        ("sha256", _SHA256, statement.sha256),
    )
    for what, pattern, value in rules:
        if not pattern.fullmatch(value) or ".." in value:
            raise RequestInvalid(f"a publisher's statement has {what} {value[:80]!r}", code="InvalidStatement")
    if statement.os not in (*SYSTEMS, ANY):
        raise RequestInvalid(
            f"a publisher's statement is for os {statement.os!r}; use {', '.join(SYSTEMS)} or {ANY}",
            code="InvalidStatement",
        )
    if statement.v != 1 or statement.size < 0:
        raise RequestInvalid("a publisher's statement is of another version", code="InvalidStatement")
    return statement


def system_of(system: str, machine: str) -> tuple[str, str]:
    """How archives name a system and a processor, by what Python's ``platform`` calls them there."""
    lowered = machine.lower()
    return system.lower(), _ARCHITECTURES.get(lowered, lowered)


def statement_of(path: Path, *, name: str, version: str, os: str, arch: str) -> Statement:
    """Describe a file.

    Raises:
        OSError: it cannot be read. RequestInvalid: one of the words cannot be used.
    """
    with open_to_the_end(path) as file:
        sha256, size = digest_of(file)
    return checked_statement(Statement(name=name, version=version, os=os, arch=arch, sha256=sha256, size=size))


def digest_of(file: BinaryIO) -> tuple[str, int]:
    """The SHA-256 and the size of what is left of a file."""
    found = hashlib.sha256()
    size_bytes = 0
    while part := file.read(_READ_BYTES):
        found.update(part)
        size_bytes += len(part)
    return found.hexdigest(), size_bytes


def sign(private_key: "Ed25519PrivateKey", statement: Statement) -> str:
    """Write the signature of a statement."""
    message = msgspec.json.encode(checked_statement(statement))
    made = base64.b64encode(private_key.sign(message)).decode()
    return f"{_TITLE}\nkey {key_id_of(private_key.public_key())}\nsignature {made}\nstatement {message.decode()}\n"


def parse(text: str) -> Signed:
    """Take a signature apart, without knowing yet whether it is right.

    Raises:
        RequestInvalid: it is none (``InvalidSignatureFile``), or its statement cannot be used (``InvalidStatement``).
    """
    found = _LINES.fullmatch(text) if len(text) <= LIMIT_BYTES else None
    if found is None:
        raise RequestInvalid("this is not a publisher's signature", code="InvalidSignatureFile")
    message = found["statement"].encode()
    try:
        statement = msgspec.json.decode(message, type=Statement)
        signature = base64.b64decode(found["signature"], validate=True)
    except (msgspec.MsgspecError, binascii.Error) as exc:
        raise RequestInvalid(f"a publisher's signature cannot be read: {exc}", code="InvalidSignatureFile") from exc
    return Signed(text, found["key"], signature, message, checked_statement(statement))


def verify(text: str, publishers: "Mapping[str, Ed25519PublicKey]") -> Statement:
    """Give the statement of a signature that one of these publishers made.

    Raises:
        RequestInvalid: it is no signature.
        Refused: the publisher is not trusted (``PublisherUnknown``), or did not sign this
            (``PublisherSignatureInvalid``).
    """
    from cryptography.exceptions import InvalidSignature  # lazy: 20 ms

    signed = parse(text)
    key = publishers.get(signed.key_id)
    if key is None:
        known = ", ".join(sorted(publishers)) or "nobody"
        raise Refused(
            f"{signed.statement} is signed by publisher {signed.key_id}, and trusted here is {known};"
            " put the publisher's public key, as NAME.pub, into this machine's agent.publishers_folder"
            " (by default /etc/cloud-assistant/publishers)",
            code="PublisherUnknown",
        )
    try:
        key.verify(signed.signature, signed.message)
    except InvalidSignature as exc:
        raise Refused(
            f"the signature of {signed.statement} was not made by publisher {signed.key_id}; fetch or sign it again",
            code="PublisherSignatureInvalid",
        ) from exc
    return signed.statement


def check_file(file: BinaryIO, statement: Statement) -> None:
    """Check what is left of a file against a verified statement.

    Raises:
        Refused: it is not the archive that was signed (``ArchiveNotSigned``).
    """
    sha256, size_bytes = digest_of(file)
    if (sha256, size_bytes) != (statement.sha256, statement.size):
        raise Refused(
            f"the archive of {statement} is not the one that was signed:"
            f" {size_bytes} bytes with SHA-256 {sha256[:12]}…, not {statement.size} with {statement.sha256[:12]}…",
            code="ArchiveNotSigned",
        )


def key_id_of(key: "Ed25519PublicKey") -> str:
    """The id of a publisher's key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_KEY_ID_CHARACTERS]
