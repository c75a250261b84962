"""Typed calls for one execution: claim, finish, stop, live output, settle."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from .. import keys
from ..messages import StopMessage, encode
from ..redis.client import Redis
from ..redis.connection import Argument, Command
from ..reported_values import text
from ..states import ExecutionState, allowed_from, known_state
from ..untrusted_input import UntrustedDecoder
from .function_library import fcall, run

#: What an announced row holds beside the state and the fields of the end, in the order of ``finish.lua``.
_KEPT = (
    b"history",
    b"command_id",
    b"created_ms",
    b"deadline_ms",
    b"claimed_ms",
    b"stop_ms",
    b"epoch",
    b"boot_id",
    b"timeout_seconds",
)
#: How long a stop message waits for an agent that is restarting; the agent also compares with the ledger.
_CONTROL_TTL_MS = 24 * 3600 * 1000
#: How long the head of a string in msgpack is, by its first byte; that of a value that is not there is all of it.
_HEAD_BYTES = bytes({0xD9: 2, 0xDA: 3, 0xDB: 5}.get(first, 1) for first in range(256))
_announced_decoder = UntrustedDecoder(msgspec.msgpack.Decoder(tuple[msgspec.Raw, list[msgspec.Raw], list[msgspec.Raw]]))


class Claimed(msgspec.Struct, frozen=True):
    """The execution is ours: its signed envelope, and its payload when that travelled in the row."""

    envelope: bytes
    mac: bytes
    key_id: str
    payload: bytes
    claimed_ms: int


class NotClaimed(msgspec.Struct, frozen=True):
    """Somebody else has it, it was stopped, it is too late, or there is no such row (``unknown``)."""

    state: str
    reason: str


class Moved(msgspec.Struct, frozen=True):
    """The row moved; ``previous`` is the state it left, ``""`` for a row that had to be written anew."""

    previous: str


class StopRequested(msgspec.Struct, frozen=True):
    """The row moved to ``state``: ``Cancelled`` when it waited, ``Stopping`` until the agent has ended what runs."""

    state: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What the row of an execution is to hold that its dispatch may not have reached: it is stopped all the same."""

    invoke_id: str
    command_id: str
    created_ms: int
    timeout_seconds: int
    done_channel: str
    #: The executions before and after it in its line, ``""`` for none.
    waits_for: str = ""
    followed_by: str = ""


class Unmoved(msgspec.Struct, frozen=True):
    """The row did not move; ``current`` is its state, ``""`` when there is no row."""

    current: str


class LivePiece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the output of a script that runs, for those who follow it."""

    #: Its place in the merged output, and what was left out before it.
    offset_bytes: int
    skipped_bytes: int
    #: Runs of the two streams in ``data``, as ``format_runs`` writes them.
    streams: str
    data: bytes
    #: About how many pieces are kept, and for how long.
    keep_count: int
    ttl_ms: int


def claim_command(instance_id: str, execution_id: str, *, epoch: str, boot_id: str, report_margin_ms: int) -> Command:
    """Build the claim, for a pipeline; read its reply with ``claim_reply``."""
    return fcall(
        "ca_claim",
        [keys.execution(instance_id, execution_id), keys.open_executions(instance_id)],
        [execution_id, epoch, boot_id, report_margin_ms],
    )


def claim_reply(reply: list[Any]) -> Claimed | NotClaimed:
    """Read what the claim answered."""
    if reply[0] == 1:
        # A row that somebody else has written may lack any of these, and is then refused like a badly signed one.
        envelope, mac, key_id = (part or b"" for part in reply[1:4])
        return Claimed(envelope, mac, text(key_id), reply[4], int(reply[5]))
    return NotClaimed(text(reply[1]), reply[2].decode())


def finish_command(
    instance_id: str,
    execution_id: str,
    state: ExecutionState,
    fields: Mapping[str, Argument],
    *,
    live_output_ttl_ms: int,
    retention_ms: int,
) -> Command:
    """Build the move of an execution to its final state; read its reply with ``finish_reply``."""
    pairs: list[Argument] = [part for pair in fields.items() for part in pair]
    return fcall(
        "ca_finish",
        [
            keys.execution(instance_id, execution_id),
            keys.open_executions(instance_id),
            keys.live_output(instance_id, execution_id),
            keys.instance_history(instance_id),
        ],
        [execution_id, state, _states_before(state), live_output_ttl_ms, retention_ms, *pairs],
    )


def finish_reply(reply: list[Any]) -> Moved | Unmoved:
    """Read what the move to a final state answered."""
    return Moved(_state_in(reply)) if reply[0] == 1 else Unmoved(_state_in(reply))


def announced_fields(announced: bytes) -> dict[bytes, bytes] | None:
    """Read the row that came with the announcement of an end; ``None`` when it is none that ``finish.lua`` has made.

    They are the fields that ``read_fields`` uses. Anybody who knows the channel may have announced them.
    """
    try:
        state, kept, ended = _announced_decoder.decode(announced)
    except msgspec.MsgspecError:
        return None
    values = _strings(ended)
    if len(kept) != len(_KEPT) or len(values) % 2:
        return None
    fields = dict(zip(values[::2], values[1::2], strict=True))
    fields.update(zip(_KEPT, _strings(kept), strict=True))
    [fields[b"state"]] = _strings([state])
    return fields


def _strings(packed: Sequence[msgspec.Raw]) -> list[bytes]:
    """Strings in msgpack as Lua writes them: bytes, and no text to decode."""
    wholes = map(bytes, packed)
    return [whole[_HEAD_BYTES[whole[0]] :] for whole in wholes]


def finish(
    redis: Redis,
    instance_id: str,
    execution_id: str,
    state: ExecutionState,
    fields: Mapping[str, Argument],
    *,
    live_output_ttl_ms: int,
    retention_ms: int,
) -> Moved | Unmoved:
    """Move an execution to its final state. Safe to repeat: a final row refuses the second report."""
    command = finish_command(
        instance_id, execution_id, state, fields, live_output_ttl_ms=live_output_ttl_ms, retention_ms=retention_ms
    )
    return finish_reply(run(redis, command))


def request_stop_command(
    instance_id: str, execution_id: str, *, confirm_ms: int, planned: Planned | None = None
) -> Command:
    """Build the request to stop one execution, for a pipeline; read its reply with ``stop_reply``.

    Where it has no row yet it gets one as ``planned``, in the state ``Cancelled``, while its invocation is not over.
    """
    touched = [
        keys.execution(instance_id, execution_id),
        keys.open_executions(instance_id),
        keys.control(instance_id),
        keys.DEADLINES,
    ]
    arguments: list[Argument] = [execution_id, encode(StopMessage(stop=execution_id)), _CONTROL_TTL_MS, confirm_ms]
    if planned:
        touched += (keys.invocation(planned.invoke_id), keys.instance_history(instance_id))
        arguments += (planned.invoke_id, planned.command_id, planned.created_ms, planned.timeout_seconds)
        arguments += (planned.done_channel, planned.waits_for, planned.followed_by)
    return fcall("ca_request_stop", touched, arguments)


def stop_reply(reply: list[Any]) -> StopRequested | Unmoved:
    """Read what the request to stop answered."""
    return StopRequested(_state_in(reply)) if reply[0] == 1 else Unmoved(_state_in(reply))


def append_output_command(instance_id: str, execution_id: str, piece: LivePiece) -> Command:
    """Build the publishing of a piece of live output; the reply is 0 when the execution is not running any more."""
    return fcall(
        "ca_append_output",
        [keys.execution(instance_id, execution_id), keys.live_output(instance_id, execution_id)],
        [
            execution_id,
            piece.offset_bytes,
            piece.skipped_bytes,
            piece.streams,
            piece.data,
            piece.keep_count,
            piece.ttl_ms,
        ],
    )


def append_output(redis: Redis, instance_id: str, execution_id: str, piece: LivePiece) -> bool:
    """Publish a piece of live output; false when the execution is not running any more."""
    return bool(run(redis, append_output_command(instance_id, execution_id, piece)))


def settle_lost_command(instance_id: str, execution_id: str, *, seen: str, error_code: str, error_info: str) -> Command:
    """Build the move of an overdue execution to ``Aborted``, for a pipeline; the reply is read with ``settled``."""
    return fcall(
        "ca_settle_lost",
        [keys.execution(instance_id, execution_id), keys.open_executions(instance_id), keys.DEADLINES],
        [execution_id, seen, error_code, error_info],
    )


def close_released_command(instance_id: str, execution_id: str) -> Command:
    """Build the end of an execution whose instance was deregistered, for a pipeline."""
    return fcall(
        "ca_close_released",
        [keys.execution(instance_id, execution_id), keys.open_executions(instance_id), keys.DEADLINES],
        [execution_id],
    )


def settled(reply: list[Any]) -> bool:
    """Tell whether the overdue execution was settled by this call."""
    return bool(reply[0] == 1)


def states_command(rows: Sequence[tuple[str, str]]) -> Command:
    """Build the bulk read of states for (instance id, execution id) pairs; read it with ``states_reply``."""
    return fcall("ca_execution_states", [keys.execution(*row) for row in rows], [])


def states_reply(reply: bytes) -> list[tuple[str, str]]:
    """Read (state, error code) per row, in the order asked; the state is ``""`` for a missing row."""
    pairs = []
    for line in reply.decode().split("\n"):
        state, _, code = line.partition(" ")
        pairs.append((known_state(state) if state else "", code))
    return pairs


@cache
def _states_before(state: ExecutionState) -> str:
    return f",{','.join(allowed_from(state))},"


def _state_in(reply: list[Any]) -> str:
    # A row's present state is the agent's word.
    return text(reply[1])
