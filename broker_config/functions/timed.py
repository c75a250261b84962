"""Typed calls for timed invocations: begin, move, read, plan ahead, skip, change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import keys
from ..redis.connection import Argument, Command
from ..unreadable import whole
from .function_library import fcall

#: This many due times in a row that are skipped for one reason get a row each; further ones extend the last row.
ROWS_OF_ONE_REASON_COUNT = 100


@dataclass(frozen=True, slots=True)
class SkippedDue:
    """Due times that are left out: one, or all from ``due_ms`` to ``until_ms``."""

    due_ms: int
    until_ms: int
    count: int
    #: misfire, paused, dst_gap or ended.
    reason: str
    info: str


@dataclass(frozen=True, slots=True)
class TimedReading:
    """A timed invocation as it was read, and some of its targets."""

    fields: Mapping[str, str]
    targets: list[str]
    #: The due times of the targets' latest executions, 0 for none.
    latest_ms: list[int]
    stopped: list[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedChange:
    """What ``modify_timed.lua`` takes."""

    invoke_id: str
    revision: str
    #: As it was read.
    old_record: bytes
    record: bytes
    created_ms: int
    #: New fields of the hash.
    fields: Mapping[str, Argument]
    #: The new work order, ``b""`` when it stays.
    payload: bytes = b""
    payload_token: str = ""
    old_payload_token: str = ""
    old_payload_ttl_ms: int = 0
    command_id: str = ""
    old_command_id: str = ""
    #: The new schedule's first due time, 0 when the schedule stays.
    due_ms: int = 0
    due_skipped: str = ""
    new_targets: Sequence[str] = ()


def begin_timed_command(invoke_id: str, *, now_ms: int, due_ms: int | None, fields: Mapping[str, Argument]) -> Command:
    """Build the beginning of a timed invocation that is stored; answers ``ok``, ``exists`` or ``unknown``.

    ``due_ms`` is ``None`` for one that is bound to the start of machines.
    """
    pairs: list[Argument] = [part for pair in fields.items() for part in pair]
    due: Argument = "" if due_ms is None else due_ms
    return fcall("ca_begin_timed", _state_keys(invoke_id), [invoke_id, now_ms, due, keys.TIMED_CHANGED_CHANNEL, *pairs])


def move_timed_command(
    invoke_id: str, allowed: Sequence[str], status: str, *, reason: str = "", only_decided: bool = False
) -> Command:
    """Build a change of status, with every beat told; answers ``[1, previous]`` or ``[0, current or b""]``.

    With ``only_decided`` it answers ``[0, b"undecided"]`` when a due time has passed that nobody has decided about.
    """
    from_states = f",{','.join(allowed)},"
    arguments: list[Argument] = [
        invoke_id,
        from_states,
        status,
        keys.TIMED_CHANGED_CHANNEL,
        reason,
        int(only_decided),
    ]
    return fcall("ca_move_timed", _state_keys(invoke_id), arguments)


def read_timed_command(invoke_id: str, first_place: int, count: int) -> Command:
    """Build the reading of a timed invocation and some of its targets; read it with ``timed_reading``."""
    touched = [
        keys.timed(invoke_id),
        keys.invocation_targets(invoke_id),
        keys.timed_latest(invoke_id),
        keys.timed_stopped(invoke_id),
    ]
    return fcall("ca_read_timed", touched, [first_place, count])


def timed_reading(reply: Any) -> TimedReading:
    """Read what ``read_timed_command`` answered; the fields are empty when there is no such timed invocation.

    Raises:
        ValueError: it is not what is written there. RedisRefused: ``run_apart`` answered that it is of another kind.
    """
    fields, targets, latest, stopped = whole(reply)
    return TimedReading(
        {name.decode(): value.decode() for name, value in zip(fields[::2], fields[1::2], strict=True)},
        [one.decode() for one in targets],
        [int(one or 0) for one in latest],
        [bool(one) for one in stopped],
    )


def plan_ahead_command(invoke_id: str, due_ms: int, revision: str, next_due_ms: int, next_skipped: str) -> Command:
    """Build the note of the due time after ``due_ms`` (0: there is none); 0 when the schedule has moved on."""
    return fcall("ca_plan_ahead", [keys.timed(invoke_id)], [due_ms, revision, next_due_ms, next_skipped])


def skip_due_command(
    invoke_id: str,
    rows: Sequence[SkippedDue],
    *,
    revision: str,
    next_due_ms: int,
    next_skipped: str,
    end_reason: str,
    run_due_ms: int,
) -> Command:
    """Build the leaving out of due times; the first row begins with the one that is due.

    Answers ``[b"skipped"]``, ``[b"early", now]`` or ``[b"changed"]``.
    """
    firings = [keys.firing(invoke_id, row.due_ms) for row in rows]
    touched = [
        keys.timed(invoke_id),
        keys.firings(invoke_id),
        keys.TIMED_DUE,
        keys.INVOCATIONS_OPEN,
        keys.firing(invoke_id, run_due_ms) if run_due_ms else firings[0],
        *firings,
    ]
    arguments: list[Argument] = [
        invoke_id,
        rows[0].due_ms,
        revision,
        next_due_ms,
        next_skipped,
        end_reason,
        run_due_ms or "",
        ROWS_OF_ONE_REASON_COUNT,
    ]
    for row in rows:
        arguments += (row.due_ms, row.until_ms, row.count, row.reason, row.info)
    return fcall("ca_skip_due", touched, arguments)


def modify_timed_command(change: TimedChange) -> Command:
    """Build a change; answers ``[b"ok"]``, or without effect ``[b"changed"]`` or ``[b"unknown", instance id, …]``.

    A new schedule is answered with ``[b"undecided"]`` when a due time has passed that nobody has decided about.
    """
    touched = [
        keys.timed(change.invoke_id),
        keys.TIMED_DUE,
        keys.invocation(change.invoke_id),
        keys.invocation_targets(change.invoke_id),
        keys.INSTANCES,
        keys.payload(change.payload_token),
        keys.payload(change.old_payload_token),
        keys.command_open(change.old_command_id),
        keys.command_open(change.command_id),
        keys.command_invocations(change.command_id),
        keys.command_invocations(change.old_command_id),
    ]
    pairs: list[Argument] = [part for pair in change.fields.items() for part in pair]
    arguments: list[Argument] = [
        change.invoke_id,
        change.revision,
        change.record,
        change.payload,
        change.old_payload_ttl_ms,
        int(bool(change.due_ms)),
        change.due_ms,
        change.due_skipped,
        keys.TIMED_CHANGED_CHANNEL,
        change.created_ms,
        len(change.fields),
        *pairs,
        *change.new_targets,
        change.old_record,
    ]
    return fcall("ca_modify_timed", touched, arguments)


def _state_keys(invoke_id: str) -> list[str]:
    return [
        keys.timed(invoke_id),
        keys.TIMED_DUE,
        keys.INVOCATIONS_OPEN,
        keys.TIMED_BOOT,
        keys.invocation(invoke_id),
    ]
