"""What an execution past its deadline amounts to. Pure.

Any reader may compute it, so that a dead beat hides nothing; only the sweeper writes it.
"""

from .error_codes import ErrorCode
from .states import ExecutionState


def lost_reason(state: str, *, connected: bool) -> tuple[ErrorCode, str]:
    """The code and the text for an execution that is in ``state`` after its deadline."""
    if state == ExecutionState.PENDING:
        if connected:
            return (
                ErrorCode.DELIVERY_TIMEOUT,
                "the agent is connected and did not take the execution in time; the script did not start. "
                "It may be busy: look at its slots, or give --deliver-within more time",
            )
        return (
            ErrorCode.CLIENT_NOT_RUNNING,
            "no heartbeat from the agent until the delivery deadline; the script did not start. "
            "Start the agent, or give --deliver-within more time",
        )
    if state == ExecutionState.SCHEDULED:
        return (
            ErrorCode.DELIVERY_TIMEOUT,
            "no beat has let the execution go by its delivery deadline; the script did not start. "
            "Start assist-beat: one of an earlier release does not let go what --at-once holds back",
        )
    return (
        ErrorCode.CLIENT_NOT_RESPONSE,
        "the agent took the execution and no result has come by the deadline; nobody knows how it ended. "
        "A result that still arrives replaces this one",
    )
