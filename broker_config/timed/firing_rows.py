"""What was decided about the due times of a timed invocation, as everybody reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .. import keys
from ..redis.client import Redis
from ..unreadable import read_or_tell, readable


class FiringStatus(StrEnum):
    """What became of a due time."""

    #: Some targets have their execution, others do not yet.
    DISPATCHING = "dispatching"
    FIRED = "fired"
    #: No target has an execution; the reason says why.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One row: a due time, or a run of due times that were left out for one reason."""

    invoke_id: str
    due_ms: int
    #: The last due time that the row covers, and how many it covers; mostly itself and 1.
    until_ms: int
    count: int
    status: FiringStatus
    #: overlap, misfire, paused, dst_gap, ended or stopped; "" when it was fired.
    reason: str
    info: str
    #: Redis' clock at the decision.
    decided_ms: int
    deadline_ms: int
    target_count: int
    #: Executions made at once, made to wait (jitter, overlap policies), and refused for a full queue.
    created_count: int
    waiting_count: int
    refused_count: int
    #: Targets whose turn ended before they had an execution.
    left_out_count: int
    #: Instances whose previous execution had not ended.
    overlap: tuple[str, ...]
    #: The only instances it was for; empty stands for all targets.
    instances: tuple[str, ...]


def read_firing(invoke_id: str, reply: Sequence[bytes]) -> Firing | None:
    """Read the reply to HGETALL of a firing's row; ``None`` when there is none."""
    if not reply:
        return None
    row = {name.decode(): value.decode() for name, value in zip(reply[::2], reply[1::2], strict=True)}

    def number(name: str) -> int:
        return int(row.get(name) or 0)

    def names(name: str) -> tuple[str, ...]:
        return tuple(one for one in row.get(name, "").split(",") if one)

    return Firing(
        invoke_id=invoke_id,
        due_ms=number("due_ms"),
        until_ms=number("until_ms"),
        count=number("count"),
        status=FiringStatus(row["status"]),
        reason=row.get("reason", ""),
        info=row.get("info", ""),
        decided_ms=number("decided_ms"),
        deadline_ms=number("deadline_ms"),
        target_count=number("target_count"),
        created_count=number("created_count"),
        waiting_count=number("waiting_count"),
        refused_count=number("refused_count"),
        left_out_count=number("left_out_count"),
        overlap=names("overlap"),
        instances=names("instances"),
    )


def load_firings(redis: Redis, invoke_id: str, due_ms: Sequence[int]) -> list[Firing]:
    """Read rows by due time; those that retention has taken meanwhile, or that cannot be read, are left out."""
    if not due_ms:
        return []
    replies = redis.pipeline_or_raise([("HGETALL", keys.firing(invoke_id, one)) for one in due_ms])
    rows = readable(read_or_tell("a due time", "", read_firing, invoke_id, reply) for reply in replies)
    return [row for row in rows if row is not None]


def latest_firings(redis: Redis, invoke_id: str, first: int, count: int) -> list[Firing]:
    """Read rows, the latest due time first."""
    found = redis.call("ZREVRANGE", keys.firings(invoke_id), first, first + count - 1)
    return load_firings(redis, invoke_id, [int(one) for one in found])
