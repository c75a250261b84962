"""States of executions and invocations, the permitted moves, and the roll-ups.

The values are the API's own words. One table, ``MOVES``, says which state may follow which; the functions in Redis
get their ``allowed from`` lists from it, so there is no second copy of the rule.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class ExecutionState(StrEnum):
    """Where one execution stands."""

    #: Written in the ledger, not yet taken by the agent.
    PENDING = "Pending"
    #: Bound to a schedule or to a boot, and not due.
    SCHEDULED = "Scheduled"
    #: Claimed by the agent: from here on the script may have started.
    RUNNING = "Running"
    #: A stop was asked for while running; not confirmed.
    STOPPING = "Stopping"
    #: The script ended with exit code 0.
    SUCCESS = "Success"
    #: The script ended with another exit code, or by a signal.
    FAILED = "Failed"
    #: The instance refused the type, a parameter, the user or the directory; the script did not start.
    INVALID = "Invalid"
    #: Not delivered in time, or the agent fell silent (``ClientNotResponse``: nobody knows).
    ABORTED = "Aborted"
    #: The execution broke off: interpreter missing, disk full, machine restarted, refused.
    ERROR = "Error"
    #: Killed when its time was up.
    TIMEOUT = "Timeout"
    #: Stopped before it started.
    CANCELLED = "Cancelled"
    #: Killed by a stop.
    TERMINATED = "Terminated"


S = ExecutionState

#: What the end of a script, or of the attempt to start it, can be.
OUTCOMES = frozenset({S.SUCCESS, S.FAILED, S.INVALID, S.ERROR, S.TIMEOUT, S.TERMINATED})

#: Which states may follow each. ``Aborted`` may still become the true outcome: that move is open to a row whose reason
#: is ``ClientNotResponse``, and one that nobody seemed to have taken (``DeliveryTimeout``, ``ClientNotRunning``) when
#: the script did start and Redis has lost the claim. The function checks it; both facts stay in the row's history.
MOVES: Mapping[ExecutionState, frozenset[ExecutionState]] = {
    S.SCHEDULED: frozenset({S.PENDING, S.CANCELLED, S.ABORTED}),
    S.PENDING: frozenset({S.RUNNING, S.CANCELLED, S.ABORTED}),
    S.RUNNING: OUTCOMES | {S.STOPPING, S.ABORTED},
    S.STOPPING: OUTCOMES | {S.ABORTED},
    S.ABORTED: OUTCOMES,
    **dict.fromkeys(OUTCOMES | {S.CANCELLED}, frozenset()),
}

UNFINISHED = frozenset({S.SCHEDULED, S.PENDING, S.RUNNING, S.STOPPING})
FINAL = frozenset(ExecutionState) - UNFINISHED
_ALL = frozenset(one.value for one in S)
_STOPPED = frozenset({S.CANCELLED, S.TERMINATED})
_FAULTS = frozenset({S.INVALID, S.ABORTED, S.FAILED, S.ERROR, S.TIMEOUT})
_LEGACY_FAILED = frozenset({S.INVALID, S.ABORTED, S.ERROR, S.TIMEOUT})


def allowed_from(state: ExecutionState) -> list[str]:
    """The states from which ``state`` may be reached, sorted, as a function in Redis takes them."""
    return sorted(previous.value for previous, following in MOVES.items() if state in following)


def is_final(state: str) -> bool:
    """Tell whether no further work is expected (a late truth may still replace ``ClientNotResponse``)."""
    return state in FINAL


def known_state(state: str) -> str:
    """Give a state that stands in a row; what is none of ours, as only a foreign hand writes it, is ``Error``."""
    return state if state in _ALL else S.ERROR.value


class InvocationState(StrEnum):
    """Where an invocation stands, over all of its instances."""

    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCESS = "Success"
    PARTIAL_FAILED = "PartialFailed"
    FAILED = "Failed"
    STOPPED = "Stopped"


def roll_up(counts: Mapping[str, int]) -> InvocationState:
    """Fold counts by execution state into the invocation's state.

    Unfinished states win in the order Stopping, Pending, Running, Scheduled. When all are final: successes with
    nothing but stops are Success, successes with faults PartialFailed, faults without a success Failed, only stops
    Stopped.
    """
    present = {state for state, count in counts.items() if count}
    for state in (S.STOPPING, S.PENDING, S.RUNNING, S.SCHEDULED):
        if state in present:
            return InvocationState(state.value)
    faults = bool(present & _FAULTS)
    if S.SUCCESS in present:
        return InvocationState.PARTIAL_FAILED if faults else InvocationState.SUCCESS
    if faults:
        return InvocationState.FAILED
    return InvocationState.STOPPED if present else InvocationState.PENDING


def shown_state(state: str, *, goes_on: bool) -> str:
    """Give the API's word for where a target stands: one that will have a next execution waits for it."""
    return S.SCHEDULED.value if goes_on and is_final(state) else state


def legacy_record_status(state: str) -> str:
    """Translate an execution's state into the older word (``InvokeRecordStatus``): exit code 1 is ``Finished``."""
    if state in (S.SUCCESS, S.FAILED):
        return "Finished"
    if state in _LEGACY_FAILED:
        return "Failed"
    if state in _STOPPED:
        return "Stopped"
    return "Stopping" if state == S.STOPPING else "Running"


def legacy_invoke_status(states: Iterable[str], *, periodic_active: bool = False) -> str:
    """Fold execution states into the older word for an invocation (``InvokeStatus``).

    A timed invocation is ``Running`` until it is over.
    """
    present = set(states)
    if periodic_active:
        return "Running"
    if S.STOPPING in present:
        return "Stopping"
    if not present or present & UNFINISHED:
        return "Running"
    if present <= _STOPPED:
        return "Stopped"
    failed = present & _LEGACY_FAILED
    if not failed:
        return "Finished"
    return "Failed" if present <= _LEGACY_FAILED | _STOPPED else "PartialFailed"
