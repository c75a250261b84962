"""Typed calls for invocations: create one, write its executions, settle it."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import keys
from ..pacing import Neighbours
from ..redis.connection import Argument, Command
from .function_library import fcall

#: Callers of earlier versions say nothing, and may not complete what does not run everywhere at once.
_KNOWS_LINES = 1


def create_invocation_command(
    invoke_id: str,
    command_id: str,
    record: bytes,
    targets: Sequence[str],
    *,
    created_ms: int,
    payload_token: str,
    payload: bytes,
    payload_ttl_ms: int,
    command_must_exist: bool,
    timed: bool,
    audit: Sequence[Argument] = (),
    current_key_id: str = "",
    assumed_key_ids: Sequence[str] = (),
) -> Command:
    """Build the creation of an invocation and, with ``audit``, its entry there; it answers ``[b"ok"]``.

    Or ``[b"exists"]``, ``[b"no_command"]``, ``[b"unknown", instance id, …]``, ``[b"other_keys", key id, …]`` when
    the targets do not hold the keys that are assumed (a target without an entry holds the current one), or what stands
    against the entry, and then has written nothing.
    """
    touched = [
        keys.invocation(invoke_id),
        keys.invocation_targets(invoke_id),
        keys.FILES if invoke_id.startswith("f-") else keys.INVOCATIONS,
        keys.INVOCATIONS_OPEN,
        keys.INSTANCES,
        keys.payload(payload_token),
        keys.command_open(command_id),
        keys.command_invocations(command_id),
        keys.INVOCATIONS_TIMED,
        keys.command(command_id),
        *((keys.AUDIT, keys.AUDIT_HEAD) if audit else ()),
        *((keys.KEY_IDS,) if assumed_key_ids else ()),
    ]
    arguments: list[Argument] = [
        invoke_id,
        record,
        created_ms,
        payload,
        payload_ttl_ms,
        int(command_must_exist),
        int(timed),
        *targets,
        *audit,
        *((",".join((current_key_id, *assumed_key_ids)),) if assumed_key_ids else ()),
    ]
    return fcall("ca_create_invocation", touched, arguments)


def create_executions_command(
    invoke_id: str,
    targets: Sequence[tuple[str, str, bytes]],
    common: Sequence[Argument],
    neighbours: Mapping[str, Neighbours] | None = None,
) -> Command:
    """Build the writing of ledger rows and messages for (instance id, execution id, signature) targets.

    ``common`` are the arguments 1 to 13 of ``create_executions.lua``; 1 to 15 with ``neighbours``, which say who waits
    for whom, by instance. Answers ``[created, refused]``: a queue was full, or the instance is in quarantine.
    """
    touched = [keys.invocation(invoke_id), keys.DEADLINES]
    if neighbours is not None:
        touched.append(keys.TIMED_WAITING)
    arguments = list(common)
    for instance_id, execution_id, signature in targets:
        branch = keys.instance_branch(instance_id)
        # The names of keys.py, written out: this runs once per target of every dispatch.
        touched += (
            f"{branch}exec:{execution_id}",
            f"{branch}open",
            f"{branch}queue",
            f"{branch}history",
            f"{branch}quarantine",
        )
        arguments += (execution_id, signature)
        if neighbours is not None:
            before, after = neighbours[instance_id]
            waits_for, followed_by = (one and f"{execution_id.partition('@')[0]}@{one}" for one in (before, after))
            touched.append(keys.execution(before or instance_id, waits_for or execution_id))
            arguments += (waits_for, followed_by)
    if neighbours is not None:
        return fcall("ca_create_lines", touched, arguments)
    return fcall("ca_create_executions", touched, [*arguments, _KNOWS_LINES])


def settle_invocation_command(
    invoke_id: str,
    command_id: str,
    roll_up: bytes,
    *,
    frozen: bool,
    announced: Sequence[tuple[str, str, str]] = (),
) -> Command:
    """Build the storing of a finished invocation's roll-up; ``frozen`` when no result in it may still change.

    It counts as finished since the first time, by the server's clock. Nothing is stored unless the (instance id,
    execution id, state) rows of ``announced`` are in these states. Read the reply with ``is_stored``.
    """
    touched = [keys.invocation(invoke_id), keys.INVOCATIONS_OPEN, keys.command_open(command_id)]
    touched += [keys.execution(instance_id, execution_id) for instance_id, execution_id, _ in announced]
    states = (state for _, _, state in announced)
    return fcall("ca_settle_invocation", touched, [invoke_id, roll_up, 0, int(frozen), *states])


def is_stored(reply: Any) -> bool:
    """Tell whether a roll-up was stored."""
    return bool(reply == 1)


def created(reply: list[Any]) -> tuple[int, int]:
    """Read (created, refused for a full queue or a quarantine)."""
    return int(reply[0]), int(reply[1])
