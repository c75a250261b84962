"""Read invocations and their ledger rows, and fold them into states."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from . import keys
from .chunks import chunks
from .clock import server_time_ms
from .error_codes import ErrorCode
from .errors import NotFound, RecordUnreadable
from .functions.executions import states_command, states_reply
from .functions.function_library import run_all, run_apart
from .functions.reported import read_fields_command
from .ids import execution_id
from .overdue import lost_reason
from .records import Invocation, RepeatMode, decode_invocation
from .redis.client import Redis
from .redis.connection import Command
from .results import FIELDS_WITHOUT_OUTPUT, ExecutionRow, Outcome, read_row
from .states import ExecutionState, InvocationState, is_final, roll_up
from .timed.latest import latest_execution_ids
from .unreadable import raised, read_or_tell, whole

#: Rows whose states are read by one call of the function.
_STATES_CHUNK_COUNT = 1000
_NOT_TAKEN = (ErrorCode.DELIVERY_TIMEOUT, ErrorCode.CLIENT_NOT_RUNNING)
#: A reader waits this long past a deadline before it says what the sweeper has not said yet.
_READER_GRACE_MS = 5_000


class StoredInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation with the parts of its hash that change."""

    record: Invocation
    finished_ms: int = 0
    stop_ms: int = 0
    #: When Redis took it, by its own clock; 0 for what an earlier release made.
    stored_ms: int = 0
    #: Counts by execution state once nothing can change any more.
    settled: Mapping[str, int] | None = None
    #: The due time of the latest firing of a timed invocation; 0 for a one-off.
    latest_firing_ms: int = 0
    #: Firings so far.
    repeats: int = 0
    #: A timed invocation that will run again by itself.
    active: bool = False

    @property
    def timed(self) -> bool:
        """Whether it is bound to a schedule or to boots."""
        return self.record.schedule.repeat_mode not in (RepeatMode.ONCE, RepeatMode.DRY_RUN)


class InvocationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The roll-up of an invocation over its instances."""

    state: InvocationState
    counts: Mapping[str, int]
    #: Executions of which nobody knows how they ended.
    unknown_count: int = 0
    #: Executions that no agent seems to have taken; only a claim that Redis has lost can prove that wrong.
    not_taken_count: int = 0


#: An invocation, and those of its instances that are asked about.
WithTargets = tuple[StoredInvocation, Sequence[str]]

_RECORD_FIELDS = ("record", "finished_ms", "roll_up", "stop_ms", "stored_ms")
_TIMED_FIELDS = ("last_due_ms", "fired_count", "status")


def load_invocations(redis: Redis, invoke_ids: Sequence[str]) -> list[StoredInvocation | RecordUnreadable | None]:
    """Read invocations by id; ``None`` where there is none, the error in place of one that cannot be read."""
    commands: list[Command] = []
    for invoke_id in invoke_ids:
        commands.append(("HMGET", keys.invocation(invoke_id), *_RECORD_FIELDS))
        commands.append(("HMGET", keys.timed(invoke_id), *_TIMED_FIELDS))
    replies = run_apart(redis, commands)
    return [
        read_or_tell(f"the invocation {one}", f"Stop it: assist invocation stop {one}", _stored, *pair)
        for one, *pair in zip(invoke_ids, replies[::2], replies[1::2], strict=True)
    ]


def load_invocation(redis: Redis, invoke_id: str) -> StoredInvocation:
    """Read one invocation.

    Raises:
        NotFound: there is none, or it is older than the history kept (``InvalidInvokeId.NotFound``).
        RecordUnreadable: it cannot be read.
    """
    found = raised(load_invocations(redis, [invoke_id])[0])
    if found is None:
        raise NotFound(
            f"no invocation {invoke_id}; `assist invocation list` shows those kept", code="InvalidInvokeId.NotFound"
        )
    return found


def load_targets(redis: Redis, invoke_id: str) -> list[str]:
    """The instances of an invocation in the order given."""
    return load_targets_of_each(redis, [invoke_id])[0]


def load_some_targets(redis: Redis, invoke_id: str, first: int, count: int) -> list[str]:
    """At most ``count`` of them, from a place in that order on, counted from 0."""
    return [one.decode() for one in redis.call("LRANGE", keys.invocation_targets(invoke_id), first, first + count - 1)]


def load_targets_of_each(redis: Redis, invoke_ids: Sequence[str]) -> list[list[str]]:
    """The same for several invocations, in one round trip."""
    commands: list[Command] = [("LRANGE", keys.invocation_targets(one), 0, -1) for one in invoke_ids]
    replies = redis.pipeline_or_raise(commands)
    return [[one.decode() for one in reply] for reply in replies]


def are_targets(redis: Redis, pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Tell of (invocation id, instance id) pairs whether the one is for the other, without reading all targets."""
    commands: list[Command] = [("LPOS", keys.invocation_targets(invoke_id), one) for invoke_id, one in pairs]
    return [place is not None for place in redis.pipeline_or_raise(commands)]


def load_rows(
    redis: Redis, wanted: Sequence[tuple[str, str]], *, with_output: bool = True
) -> list[ExecutionRow | None]:
    """Read ledger rows for (instance id, execution id) pairs; what is overdue is shown as what it amounts to."""
    if not wanted:
        return []
    if with_output:
        return read_rows(redis, wanted, redis.pipeline_or_raise(row_commands(wanted)))
    commands = [read_fields_command(keys.execution(*one), *FIELDS_WITHOUT_OUTPUT) for one in wanted]
    *replies, time = run_all(redis, [*commands, ("TIME",)])
    return read_rows(redis, wanted, [*map(_named, replies), time])


def row_without_execution(
    stored: StoredInvocation, instance_id: str, *, is_stopped: bool = False
) -> ExecutionRow | None:
    """What is shown of a target that has no execution: that one is to come, or that none will.

    ``None`` for one that has had its execution, and whose row is gone.
    """
    if not stored.timed and (stored.settled is not None or stored.finished_ms):
        return None
    record = stored.record
    state = ExecutionState(_state_without_row(stored)[0] or ExecutionState.PENDING)
    if is_stopped:
        state = ExecutionState.CANCELLED
    return ExecutionRow(
        execution_id="",
        invoke_id=record.invoke_id,
        instance_id=instance_id,
        firing_ms=0,
        state=state.value,
        command_id=record.command.command_id,
        created_ms=record.created_ms,
        timeout_seconds=record.timeout_seconds,
        outcome=Outcome(state=state),
    )


def row_commands(wanted: Sequence[tuple[str, str]]) -> list[Command]:
    """Build the reading of ledger rows and of Redis' clock, for a pipeline; ``read_rows`` takes the replies."""
    return [*(("HGETALL", keys.execution(*one)) for one in wanted), ("TIME",)]


def read_rows(redis: Redis, wanted: Sequence[tuple[str, str]], replies: Sequence[Any]) -> list[ExecutionRow | None]:
    """Read the replies to ``row_commands``; of what is overdue the heartbeats are asked."""
    *found, time = replies
    rows = [read_row(one[1], reply) for one, reply in zip(wanted, found, strict=True)]
    limit_ms = server_time_ms(time) - _READER_GRACE_MS
    late = [bool(row and not is_final(row.state) and 0 < row.deadline_ms < limit_ms) for row in rows]
    if not any(late):
        return rows
    alive = connected(redis, [row.instance_id for row, is_late in zip(rows, late, strict=True) if row and is_late])
    return [
        overdue_view(row, row.instance_id in alive) if row and is_late else row
        for row, is_late in zip(rows, late, strict=True)
    ]


def _named(values: Sequence[bytes | None]) -> list[bytes]:
    """Give the values of ``FIELDS_WITHOUT_OUTPUT`` their names, as a reply to HGETALL has them."""
    pairs = zip(FIELDS_WITHOUT_OUTPUT, values, strict=True)
    return [part for name, value in pairs if value is not None for part in (name.encode(), value)]


def overdue_view(row: ExecutionRow, is_connected: bool) -> ExecutionRow:
    """Show an overdue row as the sweeper is going to write it."""
    code, info = lost_reason(row.state, connected=is_connected)
    outcome = msgspec.structs.replace(
        row.outcome, state=ExecutionState.ABORTED, error_code=code, error_info=info, finished_ms=row.deadline_ms
    )
    return msgspec.structs.replace(row, state=ExecutionState.ABORTED.value, outcome=outcome)


def connected(redis: Redis, instance_ids: Sequence[str]) -> set[str]:
    """Which of these instances have a fresh heartbeat."""
    unique = list(dict.fromkeys(instance_ids))
    replies = redis.pipeline_or_raise([("EXISTS", keys.info(one)) for one in unique])
    return {one for one, reply in zip(unique, replies, strict=True) if reply}


def latest_executions(redis: Redis, stored: StoredInvocation, targets: Sequence[str]) -> list[tuple[str, str]]:
    """(instance id, execution id) of each target's latest execution; the latter is ``""`` for one that had none."""
    if not stored.timed:
        return _one_off_executions(stored, targets)
    return latest_executions_of_each(redis, [(stored, targets)])[0]


def latest_executions_of_each(redis: Redis, wanted: Sequence[WithTargets]) -> list[list[tuple[str, str]]]:
    """The same for several invocations with their targets, in one round trip at the most."""
    timed = [(stored.record.invoke_id, targets) for stored, targets in wanted if stored.timed]
    latest = iter(latest_execution_ids(redis, timed))
    return [
        list(zip(targets, next(latest), strict=True)) if stored.timed else _one_off_executions(stored, targets)
        for stored, targets in wanted
    ]


def _one_off_executions(stored: StoredInvocation, targets: Sequence[str]) -> list[tuple[str, str]]:
    return [(one, execution_id(stored.record.invoke_id, 0, one)) for one in targets]


def execution_states(redis: Redis, stored: StoredInvocation, targets: Sequence[str]) -> list[tuple[str, str]]:
    """(state, error code) of each target's latest execution; ``("", "")`` where there is no row.

    Targets of a timed invocation that had none yet are ``Scheduled``, or ``Cancelled`` when it is over.
    """
    return execution_states_of_each(redis, [(stored, targets)])[0]


def execution_states_of_each(redis: Redis, wanted: Sequence[WithTargets]) -> list[list[tuple[str, str]]]:
    """The same for several invocations with their targets; all their rows are read together, a thousand at a time."""
    executions = latest_executions_of_each(redis, wanted)
    known = iter(states_of(redis, [row for latest in executions for row in latest if row[1]]))
    found = []
    for (stored, _), latest in zip(wanted, executions, strict=True):
        without = _state_without_row(stored)
        read = (next(known) if execution else without for _, execution in latest)
        found.append([state if state[0] else without for state in read])
    return found


def states_of(redis: Redis, executions: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(state, error code) of (instance id, execution id) pairs; ``("", "")`` where there is no row."""
    states: list[tuple[str, str]] = []
    for chunk in chunks(executions, _STATES_CHUNK_COUNT):
        states += states_reply(run_all(redis, [states_command(chunk)])[0])
    return states


def status_of(redis: Redis, stored: StoredInvocation) -> InvocationStatus:
    """Roll an invocation up: from what was stored when it was settled, else from the rows."""
    known = status_without_rows(stored)
    if known is not None:
        return known
    states = execution_states(redis, stored, load_targets(redis, stored.record.invoke_id))
    return fold(states, active=stored.active)


def status_without_rows(stored: StoredInvocation) -> InvocationStatus | None:
    """The roll-up where no row has to be read for it: it was stored, or there was no firing yet."""
    if stored.settled is not None and not stored.active:
        return InvocationStatus(state=roll_up(stored.settled), counts=stored.settled)
    if stored.timed and not stored.latest_firing_ms:
        return _status_before_first_firing(stored)
    return None


def fold(states: Sequence[tuple[str, str]], *, active: bool = False) -> InvocationStatus:
    """Fold states; a target whose row is not written yet is Pending, a timed invocation that goes on is Scheduled."""
    counts: dict[str, int] = {}
    unknown = not_taken = 0
    for state, code in states:
        counted = state or ExecutionState.PENDING.value
        counts[counted] = counts.get(counted, 0) + 1
        if code:
            unknown += code == ErrorCode.CLIENT_NOT_RESPONSE
            not_taken += code in _NOT_TAKEN
    whole = roll_up(counts)
    if active and is_final_invocation(whole):
        whole = InvocationState.SCHEDULED
    return InvocationStatus(state=whole, counts=counts, unknown_count=unknown, not_taken_count=not_taken)


def is_final_invocation(state: InvocationState) -> bool:
    """Tell whether nothing of the invocation is unfinished."""
    return state not in (
        InvocationState.PENDING,
        InvocationState.SCHEDULED,
        InvocationState.RUNNING,
        InvocationState.STOPPING,
    )


def _state_without_row(stored: StoredInvocation) -> tuple[str, str]:
    """What a target without an execution is in."""
    if not stored.timed:
        return ("", "")
    return (ExecutionState.SCHEDULED.value if stored.active else ExecutionState.CANCELLED.value, "")


def _status_before_first_firing(stored: StoredInvocation) -> InvocationStatus:
    state = ExecutionState.SCHEDULED if stored.active else ExecutionState.CANCELLED
    counts = {state.value: stored.record.target_count}
    return InvocationStatus(state=roll_up(counts), counts=counts)


def _stored(fields: Any, timed: Any) -> StoredInvocation | None:
    record, finished, settled, stop, taken = whole(fields)
    if record is None:
        return None
    return StoredInvocation(
        record=decode_invocation(record),
        finished_ms=int(finished or 0),
        stop_ms=int(stop or 0),
        stored_ms=int(taken or 0),
        settled=msgspec.json.decode(settled, type=dict[str, int]) if settled else None,
        latest_firing_ms=int(whole(timed)[0] or 0),
        repeats=int(timed[1] or 0),
        active=timed[2] in (b"active", b"paused"),
    )
