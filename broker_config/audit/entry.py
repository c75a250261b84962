"""What stands in the audit: one entry per change and per refusal, and the MAC that fixes its place in the chain.

Never content, secrets or values of parameters: a digest stands for them.
"""

import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from ..security.signing import MasterKeys
from ..untrusted_input import UntrustedDecoder

_PURPOSE = "audit"


class Outcome(StrEnum):
    """How a change went."""

    #: It is done; for what one function writes, entered by that function.
    DONE = "done"
    #: It begins: entered before a change of several steps, so that none goes without an entry; its end follows.
    BEGUN = "begun"
    #: A rule forbade it; nothing was changed.
    REFUSED = "refused"
    #: It broke off; some of it may have happened.
    FAILED = "failed"


class Who(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did it and from where."""

    #: ``local``: a person or program with access to Redis; ``access-key``; ``activation``: a machine that registers
    #: with one; ``agent``; ``beat``; ``unknown``.
    kind: str
    #: The user's name on that machine, or the id of the access key, the activation or the instance.
    name: str = ""
    role: str = ""
    #: The name of the machine, or the address that a request came from.
    source: str = ""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry, as its writer made it."""

    at_ms: int
    who: Who
    #: The API's own word where it has one.
    action: str
    outcome: Outcome
    #: Why not.
    code: str = ""
    #: The id of what was changed.
    what: str = ""
    #: SHA-256 of the content that was run, stored or sent.
    digest: str = ""
    facts: Mapping[str, str] = {}
    request_id: str = ""
    #: The same in the two entries of one change: its begin and its end.
    change: str = ""


_encoder = msgspec.json.Encoder()
_decoder = UntrustedDecoder(msgspec.json.Decoder(AuditEntry))


def encode_entry(entry: AuditEntry) -> bytes:
    """The bytes that are stored, and that the MAC covers."""
    return _encoder.encode(entry)


def decode_entry(body: bytes) -> AuditEntry:
    """Read an entry.

    Raises:
        msgspec.MsgspecError: this is none.
    """
    return _decoder.decode(body)


def entry_mac(master: MasterKeys | None, before: str, number: int, body: bytes) -> str:
    """Make the MAC of the entry that comes after the one with the MAC ``before``.

    It names the master key. Without one it is a plain digest with no name: that shows accidents, not intent.
    """
    covered = _covered(before, number, body)
    return _unkeyed(covered) if master is None else master.seal(_PURPOSE, covered)


def has_mac(master: MasterKeys | None, given: str, before: str, number: int, body: bytes) -> bool:
    """Tell whether an entry carries the MAC that it must have in this place.

    Raises:
        KeyError: it was made with a master key that is not here.
    """
    name = given.partition(":")[0]
    covered = _covered(before, number, body)
    if not name:
        return hmac.compare_digest(_unkeyed(covered).encode(), given.encode())
    if master is None or name not in master.keys:
        raise KeyError(name)
    return master.is_sealed(_PURPOSE, covered, given)


def is_sealed(given: str) -> bool:
    """Tell whether a MAC claims to be made with a master key."""
    return not given.startswith(":")


def _covered(before: str, number: int, body: bytes) -> bytes:
    return f"{before}\n{number}\n".encode() + body


def _unkeyed(covered: bytes) -> str:
    return ":" + hashlib.sha256(covered).hexdigest()
