"""The instances on which an invocation did not succeed: those that it is done again on."""

from ...broker_config.errors import RequestInvalid
from ...broker_config.ledger import execution_states, load_invocation, load_targets
from ...broker_config.redis.client import Redis
from ...broker_config.states import ExecutionState, is_final


def unsuccessful_in(redis: Redis, invoke_id: str) -> list[str]:
    """Those whose latest execution has ended with anything but ``Success``, not started included, in their order.

    Raises:
        NotFound: no such invocation.
        RequestInvalid: there are none.
    """
    stored = load_invocation(redis, invoke_id)
    targets = load_targets(redis, invoke_id)
    states = [state for state, _ in execution_states(redis, stored, targets)]
    found = [
        one for one, state in zip(targets, states, strict=True) if is_final(state) and state != ExecutionState.SUCCESS
    ]
    if not found:
        succeeded_count = states.count(ExecutionState.SUCCESS)
        raise RequestInvalid(
            f"nothing of {invoke_id} has failed: {succeeded_count:,} of {len(targets):,} succeeded"
            f"{', the others have not ended' if succeeded_count < len(targets) else ''}",
            code="InvalidInstance.NotFound",
        )
    return found
