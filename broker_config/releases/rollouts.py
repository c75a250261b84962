"""The roll-out of a version of the agent, as whoever asks for it writes it down and a beat carries it out.

What was asked for is sealed with the master key, because a beat signs orders for instances by it. A beat writes beside
it what came of it: why it stopped, and how far each instance is.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from .. import keys
from ..errors import RecordUnreadable, RedisRefused, Refused
from ..functions import entries
from ..functions.function_library import run_apart
from ..programs.printable import clean
from ..redis.client import Redis
from ..redis.connection import Argument
from ..security.signing import MasterKeys
from ..unreadable import Arguments, Record, read_or_tell, whole
from .upgrade_order import PROFILE_FIELD, read_order, read_signed

_PURPOSE = "rollout"
#: Roll-outs that are remembered; the oldest go first.
KEPT_COUNT = 20
HALTED = "halted"
FINISHED = "finished_ms"


class Wish(StrEnum):
    """What whoever rolls out wants at present."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    rollout_id: str
    created_ms: int
    version: str
    wish: Wish = Wish.RUN
    #: This share of the instances that it is for, always the same ones first.
    share_percent: float = 100.0
    #: It is for these, or for those with all of these tags, or for all.
    instance_ids: Sequence[str] = ()
    tags: Mapping[str, str | None] = {}
    window: str = ""
    #: How many instances are on their way at once; 0 is a tenth of the chosen ones.
    at_once_count: int = 0
    #: It stops by itself when this share of the chosen ones failed, or one where that is less than one.
    failures_percent: float = 10.0
    #: Failures before somebody said to go on all the same.
    forgiven_count: int = 0
    probation_seconds: float = 180.0
    #: Try instances again where this version failed before.
    again: bool = False
    #: Where agents fetch it.
    url: str
    #: The publisher's signature of the archive for each ``<os>/<arch>``.
    signatures: Mapping[str, str]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """How far one instance is."""

    #: Of the order that it was given; 0 for none.
    serial: int = 0
    #: ``Ordered``, then what its agent says.
    stage: str
    reason: str = ""
    changed_ms: int
    #: Not heard of since; 0 while it is.
    away_ms: int = 0


ORDERED = "Ordered"
WAITING = "Waiting"
DOWNLOADING = "Downloading"
SUCCEEDED = "Succeeded"
#: Not heard of any more since it was given the order.
LOST = "Lost"
REFUSED = "Refused"
#: It could not be told whether the version works.
UNDECIDED = "Undecided"
#: Its trial ended without a verdict, and its agent may be about to repeat it.
CUT_OFF = "CutOff"
NOT_BEGUN = frozenset({ORDERED, WAITING, DOWNLOADING})
#: An order can still be taken back from these.
REVOCABLE = NOT_BEGUN | {CUT_OFF}
FAILURES = frozenset({"Failed", REFUSED, UNDECIDED, LOST})
FINAL = FAILURES | {SUCCEEDED}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out with what came of it so far."""

    rollout: Rollout
    #: That, as it stands in Redis.
    entry: bytes
    #: Whether its producer signs; only a holder of the master key can tell whether the seal is right.
    has_seal: bool = False
    #: Why it stopped by itself; ``""`` when it did not.
    halted: str = ""
    finished_ms: int = 0
    members: Mapping[str, Member] = {}

    @property
    def state(self) -> str:
        """One word for it."""
        if self.rollout.wish is Wish.CANCEL:
            return "Cancelled"
        if self.halted:
            return "Stopped"
        if self.finished_ms:
            return "Finished"
        return "Paused" if self.rollout.wish is Wish.PAUSE else "Running"

    @property
    def is_open(self) -> bool:
        """Whether it goes on, or may go on."""
        return self.state in ("Running", "Paused", "Stopped")

    def count(self, *stages: str) -> int:
        """Count the instances in some stages."""
        return sum(member.stage in stages for member in self.members.values())


class _Stored(msgspec.Struct):
    record: str
    seal: str = ""


class _Asked(NamedTuple):
    """What is stored as asked for."""

    entry: bytes
    stored: _Stored
    rollout: Rollout


def save_rollout(redis: Redis, rollout: Rollout, master: MasterKeys | None) -> None:
    """Write down what is asked for, whatever stands there; without a master key it carries no seal."""
    redis.call("HSET", keys.ROLLOUTS, rollout.rollout_id, _entry(rollout, master))


def replace_rollout(redis: Redis, seen: Progress, fresh: Progress, master: MasterKeys | None) -> bool:
    """Write down what is asked for and what came of it, but for the instances.

    False when somebody has changed that since ``seen`` was read: nothing is written then.
    """
    entry = seen.entry if fresh.rollout == seen.rollout else _entry(fresh.rollout, master)
    rollout_id = seen.rollout.rollout_id
    return entries.replace_rollout(redis, rollout_id, [seen.entry, *_outcome(seen)], [entry, *_outcome(fresh)])


def _entry(rollout: Rollout, master: MasterKeys | None) -> bytes:
    record = msgspec.json.encode(rollout)
    seal = master.seal(_PURPOSE, record) if master else ""
    return msgspec.json.encode(_Stored(record.decode(), seal))


def _outcome(progress: Progress) -> list[Argument]:
    return [progress.halted, progress.finished_ms or ""]


class UnusableRollout(NamedTuple):
    """What is stored as a roll-out and which nobody carries out."""

    rollout_id: str
    #: As it says itself; ``""`` where that cannot be read.
    version: str
    #: ``RecordUnreadable``, or that it was not written with the master key (``SealBroken``).
    why: Refused


class Rollouts(NamedTuple):
    """All that is stored; one that cannot be used takes no other along."""

    #: Newest first.
    usable: list[Progress]
    unusable: list[UnusableRollout]


def load_rollouts(redis: Redis, master: MasterKeys | None) -> Rollouts:
    """Read all roll-outs."""
    asked: list[_Asked] = []
    unusable: list[UnusableRollout] = []
    for rollout_id, found in _load_stored(redis):
        if isinstance(found, RecordUnreadable):
            unusable.append(UnusableRollout(rollout_id, "", found))
        elif master is not None and not _is_sealed(found.stored, master):
            unusable.append(UnusableRollout(rollout_id, found.rollout.version, _seal_broken(found.rollout)))
        else:
            asked.append(found)
    usable: list[Progress] = []
    for one, progress in zip(asked, _load_progress(redis, asked), strict=True):
        if isinstance(progress, RecordUnreadable):
            unusable.append(UnusableRollout(one.rollout.rollout_id, one.rollout.version, progress))
        else:
            usable.append(progress)
    usable.sort(key=lambda one: one.rollout.created_ms, reverse=True)
    return Rollouts(usable, unusable)


def _load_progress(redis: Redis, asked: Sequence[_Asked]) -> list[Progress | RecordUnreadable]:
    commands: list[tuple[str, ...]] = []
    for one in asked:
        commands.append(("HMGET", keys.rollout(one.rollout.rollout_id), HALTED, FINISHED))
        commands.append(("HGETALL", keys.rollout_members(one.rollout.rollout_id)))
    replies = run_apart(redis, commands)
    return [
        _read_or_tell(one.rollout.rollout_id, _progress, one, head, pairs)
        for one, head, pairs in zip(asked, replies[::2], replies[1::2], strict=True)
    ]


def _progress(asked: _Asked, head: Any, pairs: Any) -> Progress:
    halted, finished_ms = whole(head)
    members = {
        name.decode(): msgspec.json.decode(text, type=Member)
        for name, text in zip(whole(pairs)[::2], whole(pairs)[1::2], strict=True)
    }
    return Progress(
        rollout=asked.rollout,
        entry=asked.entry,
        has_seal=bool(asked.stored.seal),
        halted=(halted or b"").decode(),
        finished_ms=int(finished_ms or 0),
        members=members,
    )


def _read_or_tell(
    rollout_id: str, read: Callable[Arguments, Record], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Record | RecordUnreadable:
    remedy = f"Nobody carries it out; remove it: assist agent-version rollout {clean(rollout_id)} --cancel"
    return read_or_tell(f"the roll-out {clean(rollout_id)}", remedy, read, *arguments, **named)


def may_be_ordered(redis: Redis, sha256: str) -> bool:
    """Whether instances may still be told to fetch this archive: a roll-out keeps what was published when it began."""
    usable, unusable = load_rollouts(redis, None)
    return bool(unusable) or any(
        one.is_open and any(sha256 in signature for signature in one.rollout.signatures.values()) for one in usable
    )


def forget_rollout(redis: Redis, rollout_id: str) -> None:
    """Remove a roll-out and all that is known of it."""
    redis.pipeline_or_raise(
        [
            ("HDEL", keys.ROLLOUTS, rollout_id),
            ("DEL", keys.rollout(rollout_id), keys.rollout_members(rollout_id)),
        ]
    )


def take_back_orders(redis: Redis, rollout_id: str) -> None:
    """Take back what a roll-out that cannot be read any more has ordered, as far as it is known to whom."""
    [names] = run_apart(redis, [("HKEYS", keys.rollout_members(rollout_id))])
    instance_ids = [] if isinstance(names, RedisRefused) else [one.decode() for one in names]
    orders = run_apart(redis, [("HGET", keys.profile(one), PROFILE_FIELD) for one in instance_ids])
    for instance_id, order in zip(instance_ids, orders, strict=True):
        if isinstance(order, bytes) and _rollout_of(order) == rollout_id:
            redis.call("HDEL", keys.profile(instance_id), PROFILE_FIELD)


def _rollout_of(order: bytes) -> str:
    try:
        return read_order(read_signed(order)).rollout_id
    except Refused:
        return ""


def cancel_unsealed(redis: Redis, master: MasterKeys, version: str) -> bool:
    """Cancel what was written as a roll-out of a version without the master key; answers whether there was any.

    Somebody else made it, or it is from before there was a master key. What else it says stays unproved, and no more
    comes of it than that orders are taken back.
    """
    found = [
        one.rollout
        for _, one in _load_stored(redis)
        if not isinstance(one, RecordUnreadable)
        and one.rollout.version == version
        and not _is_sealed(one.stored, master)
    ]
    for one in found:
        save_rollout(redis, msgspec.structs.replace(one, wish=Wish.CANCEL), master)
    return bool(found)


def _seal_broken(rollout: Rollout) -> Refused:
    version = clean(rollout.version)
    return Refused(
        f"a roll-out of version {version} in Redis was not written by the holder of the master key, and nobody "
        f"carries it out; cancel it: assist agent-version rollout {version} --cancel",
        code="SealBroken",
    )


def _load_stored(redis: Redis) -> list[tuple[str, _Asked | RecordUnreadable]]:
    """All that is stored, by its id, whoever wrote it."""
    stored = redis.call("HGETALL", keys.ROLLOUTS)
    pairs = zip(stored[::2], stored[1::2], strict=True)
    return [(name.decode(), _read_or_tell(name.decode(), _read, text)) for name, text in pairs]


def _read(entry: bytes) -> _Asked:
    stored = msgspec.json.decode(entry, type=_Stored)
    return _Asked(entry, stored, msgspec.json.decode(stored.record, type=Rollout))


def _is_sealed(stored: _Stored, master: MasterKeys) -> bool:
    return master.is_sealed(_PURPOSE, stored.record.encode(), stored.seal)
