"""Where targets of a timed invocation stand: between two executions each waits for the next, unless it was stopped."""

from collections.abc import Sequence
from itertools import chain

from ...broker_config import keys
from ...broker_config.chunks import chunks
from ...broker_config.ledger import StoredInvocation, WithTargets
from ...broker_config.records import RepeatMode
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command
from ...broker_config.states import ExecutionState, shown_state

#: Targets asked about by one call.
_CHUNK_COUNT = 1000


def stopped_of_each(redis: Redis, wanted: Sequence[WithTargets]) -> list[list[bool]]:
    """Whether each target was stopped by itself, of several invocations with their targets; in one round trip.

    What does not go on as a whole is not asked about: ``False``.
    """
    commands: list[Command] = [
        ("SMISMEMBER", keys.timed_stopped(stored.record.invoke_id), *chunk)
        for stored, targets in wanted
        if stored.active
        for chunk in chunks(targets, _CHUNK_COUNT)
    ]
    found = chain.from_iterable(redis.pipeline_or_raise(commands))
    return [[bool(stored.active and next(found)) for _ in targets] for stored, targets in wanted]


def waits_for_next(stored: StoredInvocation, *, is_stopped: bool) -> bool:
    """Whether a target that has had an execution will have another by itself."""
    return stored.active and not is_stopped and stored.record.schedule.repeat_mode != RepeatMode.NEXT_REBOOT_ONLY


def state_of_target(stored: StoredInvocation, state: str, *, is_stopped: bool) -> str:
    """The state to show of a target, given that of its latest execution (``Scheduled`` where there is none yet)."""
    if is_stopped:
        return ExecutionState.CANCELLED.value if state == ExecutionState.SCHEDULED else state
    return shown_state(state, goes_on=waits_for_next(stored, is_stopped=False))
