"""Find out which results of an invocation are what their agents signed."""

from dataclasses import dataclass
from enum import StrEnum

from ...broker_config import keys
from ...broker_config.chunks import chunks
from ...broker_config.error_codes import ErrorCode
from ...broker_config.ledger import StoredInvocation, latest_executions, load_targets
from ...broker_config.redis.client import Redis
from ...broker_config.security.result_signing import is_signed_result, signature_of, signing_key_id
from ...broker_config.security.signing import MasterKeys
from ...broker_config.states import ExecutionState as S
from ...broker_config.states import is_final

_CHUNK_COUNT = 500
#: Ends that the control side itself writes, so that no agent has signed them: (state, code), "" for any code.
_OWN_ENDS = {
    (S.ABORTED, ""),
    (S.CANCELLED, ""),
    (S.INVALID, ErrorCode.INSTANCE_QUARANTINED),
    (S.ERROR, ErrorCode.INSTANCE_RELEASED),
}


class Verdict(StrEnum):
    """What can be said of one result."""

    #: It is what the agent signed with the instance's key.
    VALID = "Valid"
    #: It was changed after the agent had signed it, or never signed by this instance.
    CHANGED = "Changed"
    #: No agent has signed it, and one should have.
    UNSIGNED = "Unsigned"
    #: The control side ended the execution without a result of the agent: nothing to verify.
    NO_RESULT = "NoResult"
    #: Not ended yet.
    UNFINISHED = "Unfinished"
    #: Signed with a key whose master key is not here any more.
    KEY_UNKNOWN = "KeyUnknown"


#: What lets a verification fail.
BAD = frozenset({Verdict.CHANGED, Verdict.UNSIGNED, Verdict.KEY_UNKNOWN})


@dataclass(frozen=True)
class Verified:
    """One result and what can be said of it."""

    instance_id: str
    execution_id: str
    state: str
    key_id: str
    verdict: Verdict


def verify_results(redis: Redis, master: MasterKeys, stored: StoredInvocation) -> list[Verified]:
    """Verify the latest result of each target, in the order of the targets."""
    targets = load_targets(redis, stored.record.invoke_id)
    found: list[Verified] = []
    for chunk in chunks(targets, _CHUNK_COUNT):
        executions = latest_executions(redis, stored, chunk)
        rows = redis.pipeline_or_raise([("HGETALL", keys.execution(*one)) for one in executions])
        for (instance_id, execution), reply in zip(executions, rows, strict=True):
            row = dict(zip(reply[::2], reply[1::2], strict=True))
            state = row.get(b"state", b"").decode("utf-8", "replace")
            verdict = _verdict(master, instance_id, execution, row, state)
            found.append(Verified(instance_id, execution, state, signing_key_id(signature_of(row)), verdict))
    return found


def _verdict(master: MasterKeys, instance_id: str, execution: str, row: dict[bytes, bytes], state: str) -> Verdict:
    if not is_final(state):
        return Verdict.UNFINISHED
    made = signature_of(row)
    if not made:
        code = row.get(b"error_code", b"").decode("utf-8", "replace")
        return Verdict.NO_RESULT if {(state, ""), (state, code)} & _OWN_ENDS else Verdict.UNSIGNED
    try:
        key = master.instance_key(instance_id, signing_key_id(made))
    except KeyError:
        return Verdict.KEY_UNKNOWN
    return Verdict.VALID if is_signed_result(key, execution, row) else Verdict.CHANGED
