"""A timed invocation as it is stored, and its schedule as something that can be asked.

What happens to one due time is in ``functions/firings.py`` and ``functions/timed.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from .. import keys
from ..chunks import chunks
from ..clock import server_time_ms
from ..errors import NotFound, RecordUnreadable
from ..functions.function_library import run_apart
from ..records import Invocation, RepeatMode, Schedule
from ..redis.client import Redis
from ..redis.connection import Argument
from ..schedule import DueTime, ScheduleOptions
from ..schedule import Schedule as Calendar
from ..security.signing import MasterKeys, digest
from ..unreadable import raised, read_or_tell, whole

_schedule_decoder = msgspec.json.Decoder(Schedule)
_PURPOSE = "timed invocation"
_SEALED_FIELDS = ("schedule", "command_id", "timeout_seconds", "token", "digest", "target_count", "target_digests")
#: How many targets are read, checked and written at a time.
TARGETS_PER_DIGEST_COUNT = 400


class TimedStatus(StrEnum):
    """Where a timed invocation stands."""

    #: It comes due by itself.
    ACTIVE = "active"
    #: Its due times are left out, each with a row that says so.
    PAUSED = "paused"
    #: Somebody stopped it.
    STOPPED = "stopped"
    #: Its end time, its last due time or its most runs are reached.
    ENDED = "ended"


#: It will, or may again, run by itself.
GOING_ON = (TimedStatus.ACTIVE, TimedStatus.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """The schedule of an invocation and how far it has come."""

    invoke_id: str
    status: TimedStatus
    #: Changes with every change that somebody makes, so that what was read before it is not acted upon.
    revision: str
    schedule: Schedule
    #: Redis' clock when it began: where the grid of a rate starts.
    anchor_ms: int
    #: The due time to be decided about next; ``None`` when there is none any more, or it is bound to boots.
    due: DueTime | None
    #: Whether ``following`` is known.
    is_planned: bool
    #: The due time after ``due``; ``None`` also when that is the last.
    following: DueTime | None
    fired_count: int
    skipped_count: int
    last_due_ms: int
    #: The due time whose targets do not all have an execution yet, 0 for none.
    open_due_ms: int
    #: The row that the present run of equal reasons ends with, 0 for none.
    run_due_ms: int
    end_reason: str
    ended_ms: int
    command_id: str
    timeout_seconds: int
    grace_seconds: float
    #: 0 when none was asked for: until the next due time.
    deliver_within_ms: int
    done_channel: str
    payload_token: str
    digest: str
    target_count: int
    #: What the producers' key says of all that a beat signs for; "" when it was made without a key.
    seal: str

    @property
    def goes_on(self) -> bool:
        """Whether it will, or may again, run by itself."""
        return self.status in GOING_ON

    @property
    def is_boot_bound(self) -> bool:
        """Whether it runs when a machine starts, and not by the clock."""
        return self.schedule.repeat_mode != RepeatMode.PERIOD


def read_timed(invoke_id: str, fields: Mapping[str, str]) -> Timed | None:
    """Read the fields of the hash; ``None`` when there are none.

    Raises:
        RecordUnreadable: they are not what this release writes there.
    """
    if not fields:
        return None
    is_over = fields.get("status") in (TimedStatus.STOPPED, TimedStatus.ENDED)
    remedy = "It is over" if is_over else f"Stop it: assist timed stop {invoke_id}"
    return raised(read_or_tell(f"the timed invocation {invoke_id}", remedy, _read_timed, invoke_id, fields))


def _read_timed(invoke_id: str, fields: Mapping[str, str]) -> Timed:
    def number(name: str) -> int:
        return int(fields.get(name) or 0)

    def due(at: str, skipped: str) -> DueTime | None:
        return DueTime(number(at), fields.get(skipped, "")) if number(at) else None

    return Timed(
        invoke_id=invoke_id,
        status=TimedStatus(fields["status"]),
        revision=fields["revision"],
        schedule=_schedule_decoder.decode(fields["schedule"]),
        anchor_ms=number("anchor_ms"),
        due=due("due_ms", "due_skip"),
        is_planned="next_ms" in fields,
        following=due("next_ms", "next_skip"),
        fired_count=number("fired_count"),
        skipped_count=number("skipped_count"),
        last_due_ms=number("last_due_ms"),
        open_due_ms=number("open_due_ms"),
        run_due_ms=number("run_due_ms"),
        end_reason=fields.get("end_reason", ""),
        ended_ms=number("ended_ms"),
        command_id=fields["command_id"],
        timeout_seconds=number("timeout_seconds"),
        grace_seconds=float(fields.get("grace_seconds") or 0),
        deliver_within_ms=number("deliver_within_ms"),
        done_channel=fields["done"],
        payload_token=fields["token"],
        digest=fields["digest"],
        target_count=number("target_count"),
        seal=fields.get("seal", ""),
    )


def timed_fields(
    invocation: Invocation, order_digest: str, targets: Sequence[str], master: MasterKeys | None
) -> dict[str, Argument]:
    """What a firing needs of an invocation, so that it need not read the record with its content.

    With a master key it is sealed: a beat signs for nothing that was changed by somebody who can only write to Redis.
    """
    fields: dict[str, Argument] = {
        "schedule": msgspec.json.encode(invocation.schedule).decode(),
        "command_id": invocation.command.command_id,
        "timeout_seconds": invocation.timeout_seconds,
        "grace_seconds": invocation.grace_seconds,
        "deliver_within_ms": invocation.deliver_within_seconds * 1000,
        "done": invocation.done_channel,
        "token": invocation.payload_token,
        "digest": order_digest,
        "target_count": len(targets),
        "target_digests": ",".join(target_digests(targets)),
    }
    texts = {name: str(value) for name, value in fields.items()}
    return {**fields, "seal": master.seal(_PURPOSE, _sealed_part(invocation.invoke_id, texts)) if master else ""}


def is_sealed(invoke_id: str, fields: Mapping[str, str], master: MasterKeys) -> bool:
    """Tell whether the fields are as a producer with one of these keys wrote them."""
    return master.is_sealed(_PURPOSE, _sealed_part(invoke_id, fields), fields.get("seal", ""))


def target_digests(targets: Sequence[str]) -> list[str]:
    """The digests by which a beat recognises the targets that it reads part by part."""
    return [targets_digest(part) for part in chunks(targets, TARGETS_PER_DIGEST_COUNT)]


def targets_digest(targets: Sequence[str]) -> str:
    """The digest of one part of the targets."""
    return digest("\n".join(targets).encode())


def _sealed_part(invoke_id: str, fields: Mapping[str, str]) -> bytes:
    return msgspec.json.encode([invoke_id, *(fields.get(name, "") for name in _SEALED_FIELDS)])


def load_timed_all(redis: Redis, invoke_ids: Sequence[str]) -> list[Timed | RecordUnreadable | None]:
    """Read timed invocations by id; ``None`` where there is none, the error in place of one that cannot be read."""
    replies = run_apart(redis, [("HGETALL", keys.timed(one)) for one in invoke_ids])
    return [
        read_or_tell(f"the timed invocation {one}", f"Stop it: assist timed stop {one}", _read_reply, one, reply)
        for one, reply in zip(invoke_ids, replies, strict=True)
    ]


def _read_reply(invoke_id: str, reply: Any) -> Timed | None:
    # What is no UTF-8 is wrong wherever it stands: it is told with the field that it spoils.
    texts = [part.decode("utf-8", "replace") for part in whole(reply)]
    return read_timed(invoke_id, dict(zip(texts[::2], texts[1::2], strict=True)))


def load_timed(redis: Redis, invoke_id: str) -> Timed:
    """Read one timed invocation.

    Raises:
        NotFound: there is none with this id, or it does not repeat (``InvalidInvokeId.NotFound``).
        RecordUnreadable: it cannot be read.
    """
    found = raised(load_timed_all(redis, [invoke_id])[0])
    if found is None:
        raise NotFound(
            f"no timed invocation {invoke_id}; `assist timed list` shows them", code="InvalidInvokeId.NotFound"
        )
    return found


def calendar_of(schedule: Schedule, anchor_ms: int) -> Calendar:
    """Make a stored schedule answer when it is due.

    Raises:
        InvalidFrequency: its text cannot be read, or it names no known zone.
        ValueError: one of its policies is unknown.
    """
    options = ScheduleOptions(day_rule=schedule.day_rule, gap=schedule.dst_gap, overlap=schedule.dst_overlap)  # type: ignore[arg-type]  # checked by ScheduleOptions
    from ..schedule.frequency import parse_frequency  # lazy: croniter, which listings do without

    return parse_frequency(
        schedule.frequency, default_zone=schedule.timezone or "UTC", anchor_ms=anchor_ms, options=options
    )


def stored_calendar(timed: Timed) -> Calendar:
    """Make a stored timed invocation answer when it is due.

    Raises:
        RecordUnreadable: there is no reading its schedule here; it is perhaps one of a newer release.
    """
    what, remedy = f"the schedule of {timed.invoke_id}", f"Stop it: assist timed stop {timed.invoke_id}"
    return raised(read_or_tell(what, remedy, calendar_of, timed.schedule, timed.anchor_ms))


def due_times(calendar: Calendar, schedule: Schedule, after_ms: int, count: int) -> Iterator[DueTime]:
    """Iterate over the due times after a moment, up to the schedule's end time."""
    for due in calendar.due_times(after_ms, count):
        if schedule.end_ms and due.utc_ms > schedule.end_ms:
            return
        yield due


def next_due(calendar: Calendar, schedule: Schedule, after_ms: int) -> DueTime | None:
    """The first due time after a moment; ``None`` after the end time or the last due time."""
    return next(due_times(calendar, schedule, after_ms, 1), None)


def server_ms(redis: Redis) -> int:
    """Read Redis' clock, the one that due times are judged by."""
    return server_time_ms(redis.call("TIME"))
