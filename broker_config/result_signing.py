"""The MAC over the end of an execution, made by its agent: the control side can tell when a result was changed.

It covers the execution's id and every field that an agent writes with the end of an execution; a field that was added
later makes it as invalid as one that was changed or taken away.
"""

import hmac
from collections.abc import Mapping

from .redis_connection import Argument
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


def sign_result(key_id: str, instance_key: bytes, execution_id: str, fields: Mapping[str, Argument]) -> bytes:
    """Sign the end of an execution, with ``state`` among its fields."""
    return bytes(Signature(key_id, _mac(instance_key, execution_id, fields)))


def signing_key_id(made: bytes) -> str:
    """Which key of the instance a result was signed with."""
    return parse_signature(made).key_id


def is_signed_result(instance_key: bytes, execution_id: str, row: Mapping[str, bytes]) -> bool:
    """Tell whether a row still says what its agent signed with this key."""
    given = parse_signature(row.get(FIELD, b"")).mac
    return hmac.compare_digest(_mac(instance_key, execution_id, row), given)


def _mac(instance_key: bytes, execution_id: str, fields: Mapping[str, Argument]) -> bytes:
    parts = [execution_id.encode()]
    for name in sorted(COVERED & fields.keys()):
        value = fields[name]
        parts += (name.encode(), value if isinstance(value, bytes) else str(value).encode())
    # Each with its length in front, so that no two rows are the same bytes.
    framed = b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "big"), part)])
    return hmac.digest(subkey(instance_key, _PURPOSE), framed, "sha256").hex().encode()
