"""The latest execution of each target of a timed invocation.

Targets do not march in step: one was left out because its last script still ran, another's machine has not started yet.
So what a timed invocation looks like now is read target by target.
"""

from collections.abc import Sequence

from . import keys
from .functions.executions import states_command, states_reply
from .functions.function_library import run_all
from .ids import execution_id
from .redis_client import Redis
from .states import ExecutionState

#: Targets read by one call.
_CHUNK_COUNT = 1000


def latest_execution_ids(redis: Redis, invoke_id: str, targets: Sequence[str]) -> list[str]:
    """The execution ids, ``""`` for a target that has had none."""
    found: list[str] = []
    for first in range(0, len(targets), _CHUNK_COUNT):
        chunk = targets[first : first + _CHUNK_COUNT]
        firings = redis.call("HMGET", keys.timed_latest(invoke_id), *chunk)
        found += [execution_id(invoke_id, int(at), one) if at else "" for one, at in zip(chunk, firings, strict=True)]
    return found


def latest_states(redis: Redis, invoke_id: str, targets: Sequence[str], *, goes_on: bool) -> list[tuple[str, str]]:
    """(state, error code) of each target's latest execution.

    A target without one is ``Scheduled`` while the invocation goes on, and ``Cancelled`` when it is over.
    """
    without = (ExecutionState.SCHEDULED.value if goes_on else ExecutionState.CANCELLED.value, "")
    executions = latest_execution_ids(redis, invoke_id, targets)
    rows = [(one, execution) for one, execution in zip(targets, executions, strict=True) if execution]
    states: list[tuple[str, str]] = []
    for first in range(0, len(rows), _CHUNK_COUNT):
        states += states_reply(run_all(redis, [states_command(rows[first : first + _CHUNK_COUNT])])[0])
    known = {row[0]: state if state[0] else without for row, state in zip(rows, states, strict=True)}
    return [known.get(one, without) for one in targets]
