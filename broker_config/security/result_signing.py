"""The MAC over the end of an execution, made by its agent: the control side can tell when a result was changed.

It covers the execution's id and every field that an agent writes with the end of an execution; a field that was added
later makes it as invalid as one that was changed or taken away.
"""

import hmac
from collections.abc import Iterable, Mapping

from ..redis.connection import Argument
from .signing import Signature, parse_signature, subkey

FIELD = "result_mac"
#: All that an agent may write with an end: the fields of ``Outcome.fields`` and the state.
COVERED = frozenset(
    {
        "state",
        "started_ms",
        "finished_ms",
        "exit_code",
        "signal",
        "error_code",
        "error_info",
        "output",
        "streams",
        "dropped_bytes",
        "gap_at",
        "survivors",
        "left_running",
        "steps",
        "notes",
    }
)
_PURPOSE = "results"
_FIELD = FIELD.encode()


def _framed(part: bytes) -> bytes:
    """A part with its length in front, so that no two rows are the same bytes."""
    return len(part).to_bytes(8, "big") + part


#: The names in the order in which they are covered: as text, as bytes, and framed.
_NAMES = tuple((name, name.encode(), _framed(name.encode())) for name in sorted(COVERED))


def sign_result(key_id: str, instance_key: bytes, execution_id: str, fields: Mapping[str, Argument]) -> bytes:
    """Sign the end of an execution, with ``state`` among its fields."""
    values = ((framed, fields[name]) for name, _, framed in _NAMES if name in fields)
    covered = [(framed, one if isinstance(one, bytes) else str(one).encode()) for framed, one in values]
    return bytes(Signature(key_id, _mac(instance_key, execution_id, covered)))


def signature_of(row: Mapping[bytes, bytes]) -> bytes:
    """What a row is signed with; empty where nobody has signed it."""
    return row.get(_FIELD, b"")


def signing_key_id(made: bytes) -> str:
    """Which key of the instance a result was signed with."""
    return parse_signature(made).key_id


def is_signed_result(instance_key: bytes, execution_id: str, row: Mapping[bytes, bytes]) -> bool:
    """Tell whether a row still says what its agent signed with this key."""
    covered = [(framed, row[name]) for _, name, framed in _NAMES if name in row]
    return hmac.compare_digest(_mac(instance_key, execution_id, covered), parse_signature(signature_of(row)).mac)


def _mac(instance_key: bytes, execution_id: str, covered: Iterable[tuple[bytes, bytes]]) -> bytes:
    parts = [_framed(execution_id.encode())]
    for framed_name, value in covered:
        parts += (framed_name, len(value).to_bytes(8, "big"), value)
    return hmac.digest(subkey(instance_key, _PURPOSE), b"".join(parts), "sha256").hex().encode()
