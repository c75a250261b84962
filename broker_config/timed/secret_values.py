"""Secret parameters of timed invocations: sealed under the master key until a firing encrypts them to each instance."""

from collections.abc import Mapping

import msgspec

from ..errors import Refused
from ..security.sealing import seal, unseal
from ..security.signing import MasterKeys

#: The field of the timed invocation's hash.
FIELD = "secrets"
_PURPOSE = "secret parameters of timed invocations"
_decoder = msgspec.json.Decoder(dict[str, str])


def require_master(master: MasterKeys | None) -> MasterKeys:
    """Return the master keys.

    Raises:
        Refused: there are none (``MasterKeyMissing``).
    """
    if master is None:
        raise Refused(
            "secret parameters are encrypted to each instance, and this program has no master key: "
            "set security.master_key_file, or make one with `assist key create`",
            code="MasterKeyMissing",
        )
    return master


def seal_timed_secrets(master: MasterKeys, invoke_id: str, values: Mapping[str, str]) -> str:
    """Encrypt values for the control side itself, for one invocation only."""
    sealed = seal(master.purpose_key(_PURPOSE), msgspec.json.encode(dict(values)), invoke_id.encode())
    return f"{master.current}:{sealed.decode()}"


def open_timed_secrets(master: MasterKeys | None, invoke_id: str, stored: str) -> dict[str, str]:
    """Decrypt them; ``""`` are none.

    Raises:
        Refused: they were sealed with a key that is not here, for another invocation, or were changed (``SealBroken``).
    """
    if not stored:
        return {}
    name, _, sealed = stored.partition(":")
    try:
        key = require_master(master).purpose_key(_PURPOSE, name)
    except KeyError as exc:
        raise Refused(
            f"secret parameters are sealed with the master key {name!r}, which is not here", code="SealBroken"
        ) from exc
    return _decoder.decode(unseal(key, sealed.encode(), invoke_id.encode()))
