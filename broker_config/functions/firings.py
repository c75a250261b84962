"""Typed calls for firings: open one, continue it, take it over, and let its waiting executions go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import keys
from ..ids import split_execution_id
from ..redis.connection import Argument, Command
from ..task_message import PLACEHOLDER
from .function_library import fcall


@dataclass(frozen=True, slots=True)
class FiringTarget:
    """One target of a firing."""

    instance_id: str
    execution_id: str
    signature: bytes
    #: The moment before which it must not start; 0 for at once.
    not_before_ms: int
    #: Its latest execution so far, ``""`` for none: what the overlap policy looks at.
    latest_execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringPacing:
    """How a firing runs that does not run everywhere at once (``pacing.py``)."""

    at_once_count: int
    #: 0 for no limit.
    failures_count: int
    #: The time for delivery that each has from its turn on, and the time in which the last must have been taken.
    deliver_within_ms: int
    life_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringChunk:
    """A due time with some of its targets: what ``firing.lua`` takes."""

    invoke_id: str
    due_ms: int
    #: Names the beat that dispatches; another may go on when the lease is over.
    token: str
    lease_ms: int
    #: The places of these targets in the invocation's list, and its length.
    first_place: int
    end_place: int
    target_count: int
    deadline_ms: int
    envelope: bytes
    key_id: str
    message_template: str
    queue_count: int
    command_id: str
    timeout_seconds: int
    done_channel: str
    #: allow, skip, queue or cancel.
    overlap: str
    max_count: int
    revision: str
    #: 0 when the schedule ends with this due time.
    next_due_ms: int
    next_skipped: str
    end_reason: str
    #: The due time that is still being dispatched, 0 for none.
    open_due_ms: int
    note: str
    targets: Sequence[FiringTarget]
    #: What holds when the firing is opened, holds for all of it.
    pacing: FiringPacing | None = None


@dataclass(frozen=True, slots=True)
class FiringStep:
    """What came of a chunk: ``opened``, ``continued``, ``early``, ``changed``, ``ended`` or ``lost``."""

    word: str
    #: No target is left.
    is_done: bool = False
    #: Redis' clock, where it was asked.
    server_ms: int = 0


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A dispatch that its owner left: where to go on."""

    next_place: int
    target_count: int
    deadline_ms: int


def open_firing_command(chunk: FiringChunk) -> Command:
    """Build the one decision about a due time, with its first targets; read the reply with ``firing_step``."""
    return fcall("ca_open_firing", _keys(chunk), _arguments(chunk))


def continue_firing_command(chunk: FiringChunk) -> Command:
    """Build the next part of a dispatch that is under way; read the reply with ``firing_step``."""
    return fcall("ca_continue_firing", _keys(chunk), _arguments(chunk))


def firing_step(reply: list[Any]) -> FiringStep:
    """Read what came of a chunk."""
    word = reply[0].decode()
    if word in ("opened", "continued"):
        return FiringStep(word, bool(reply[1]), int(reply[2]))
    if word == "early":
        return FiringStep(word, server_ms=int(reply[1]))
    return FiringStep(word)


def take_over_command(invoke_id: str, due_ms: int, *, token: str, lease_ms: int) -> Command:
    """Build the taking over of a dispatch whose lease is over; read the reply with ``taken_over``."""
    touched = [keys.firing(invoke_id, due_ms), keys.TIMED_DISPATCHING]
    return fcall("ca_take_over_firing", touched, [f"{invoke_id} {due_ms}", token, lease_ms])


def taken_over(reply: list[Any]) -> TakenOver | None:
    """Read where to go on; ``None`` when it is not ours to take."""
    return TakenOver(*map(int, reply[1:])) if reply[0] == 1 else None


def firing_pacing_command(invoke_id: str, due_ms: int) -> Command:
    """Build the reading of how a firing runs; read the reply with ``firing_pacing``."""
    fields = ("at_once_count", "failures_count", "deliver_within_ms", "life_ms")
    return ("HMGET", keys.firing(invoke_id, due_ms), *fields)


def firing_pacing(reply: Sequence[bytes | None]) -> FiringPacing | None:
    """Read how a firing runs; ``None`` for everywhere at once."""
    at_once_count, failures_count, deliver_within_ms, life_ms = (int(part or 0) for part in reply)
    if not at_once_count:
        return None
    return FiringPacing(
        at_once_count=at_once_count,
        failures_count=failures_count,
        deliver_within_ms=deliver_within_ms,
        life_ms=life_ms,
    )


def release_command(
    instance_id: str,
    execution_id: str,
    message: str,
    *,
    waits_for: str,
    recheck_ms: int,
    queue_count: int,
) -> Command:
    """Build the release of an execution that waits, for one of its own instance or of another.

    Answers ``released``, ``waits``, ``expired``, ``called_off`` or ``gone``.
    """
    row = keys.execution(instance_id, execution_id)
    touched = [
        row,
        keys.open_executions(instance_id),
        keys.queue(instance_id),
        keys.execution(waits_for.partition("@")[2], waits_for) if waits_for else row,
        keys.TIMED_WAITING,
        keys.DEADLINES,
        _counts_failures(execution_id),
    ]
    return fcall("ca_release", touched, [execution_id, message, recheck_ms, queue_count])


def _counts_failures(execution_id: str) -> str:
    """Where it is counted how many of those that do not run everywhere at once have failed."""
    invoke_id, firing_ms, _ = split_execution_id(execution_id) or (execution_id, 0, "")
    return keys.firing(invoke_id, firing_ms) if firing_ms else keys.invocation(invoke_id)


def wants_previous_stopped(reply: list[Any]) -> bool:
    """Tell whether what ``release_command`` answered asks for the end of the execution that is waited for."""
    return bool(reply[0] == b"waits" and reply[1])


def still_waits(reply: list[Any]) -> bool:
    """Tell whether what ``release_command`` answered says that the execution waits on."""
    return bool(reply[0] == b"waits")


def trim_queue_command(instance_id: str, most_count: int) -> Command:
    """Build the removal of messages whose executions are over; answers how many went."""
    touched = [keys.queue(instance_id), keys.open_executions(instance_id)]
    return fcall("ca_trim_queue", touched, [most_count, keys.execution(instance_id, "")])


def _keys(chunk: FiringChunk) -> list[str]:
    firing = keys.firing(chunk.invoke_id, chunk.due_ms)
    touched = [
        keys.timed(chunk.invoke_id),
        firing,
        keys.firings(chunk.invoke_id),
        keys.TIMED_DUE,
        keys.TIMED_DISPATCHING,
        keys.TIMED_WAITING,
        keys.DEADLINES,
        keys.INVOCATIONS_OPEN,
        keys.timed_latest(chunk.invoke_id),
        keys.firing(chunk.invoke_id, chunk.open_due_ms) if chunk.open_due_ms else firing,
        keys.INSTANCES,
    ]
    for target in chunk.targets:
        branch = keys.instance_branch(target.instance_id)
        # The names of keys.py, written out: this runs once per target of every firing.
        row = f"{branch}exec:{target.execution_id}"
        latest = f"{branch}exec:{target.latest_execution_id}" if target.latest_execution_id else row
        touched += (row, f"{branch}open", f"{branch}queue", f"{branch}history", f"{branch}quarantine", latest)
    if chunk.pacing:
        touched.append(keys.firing_line(chunk.invoke_id, chunk.due_ms))
    return touched


def _arguments(chunk: FiringChunk) -> list[Argument]:
    arguments: list[Argument] = [
        chunk.invoke_id,
        chunk.due_ms,
        chunk.token,
        chunk.lease_ms,
        chunk.first_place,
        chunk.end_place,
        chunk.target_count,
        chunk.deadline_ms,
        chunk.envelope,
        chunk.key_id,
        chunk.message_template,
        PLACEHOLDER,
        chunk.queue_count,
        chunk.command_id,
        chunk.timeout_seconds,
        chunk.done_channel,
        chunk.overlap,
        chunk.max_count,
        chunk.revision,
        chunk.next_due_ms,
        chunk.next_skipped,
        chunk.end_reason,
        chunk.open_due_ms or "",
        chunk.note,
    ]
    for target in chunk.targets:
        arguments += (target.execution_id, target.signature, target.not_before_ms, target.latest_execution_id)
    if chunk.pacing:
        of_branch, _, in_branch = keys.execution("*", "").partition("*")
        pacing = chunk.pacing
        arguments += (pacing.at_once_count, pacing.failures_count, pacing.deliver_within_ms, pacing.life_ms)
        arguments += (of_branch, in_branch)
    return arguments
