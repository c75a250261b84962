"""Seal a dispatch, so that a beat completes one that was cut off as its producer meant it, and no other.

A signature in a row proves nothing here: an instance holds its key itself, and could sign for others what it likes.
"""

from collections.abc import Sequence

import msgspec

from ..records import Invocation
from .signing import MasterKeys

_PURPOSE = "dispatch"


def with_dispatch_seal(
    invocation: Invocation, order_digest: str, targets: Sequence[str], master: MasterKeys | None
) -> Invocation:
    """Seal which work order goes to which instances, and until when; without a master key nothing is sealed."""
    if master is None:
        return invocation
    made = master.seal(_PURPOSE, _covered(invocation, order_digest, targets))
    return msgspec.structs.replace(invocation, dispatch_seal=made)


def is_dispatch_sealed(invocation: Invocation, order_digest: str, targets: Sequence[str], master: MasterKeys) -> bool:
    """Tell whether a producer with one of these keys meant this work order for these instances at that time."""
    return master.is_sealed(_PURPOSE, _covered(invocation, order_digest, targets), invocation.dispatch_seal)


def _covered(invocation: Invocation, order_digest: str, targets: Sequence[str]) -> bytes:
    whole = [invocation.invoke_id, invocation.created_ms, invocation.deliver_within_seconds, order_digest, targets]
    if invocation.pacing is not None:
        whole.append(invocation.pacing)
    return msgspec.json.encode(whole)
