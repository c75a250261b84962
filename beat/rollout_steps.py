"""Carry out roll-outs step by step: give orders to a few instances, see how they fare, stop when too many fail.

Each step looks at everything anew, so it may be cut off anywhere and several beats may do it: an instance that gets two
orders for one version carries out the later one, or none of them again. An order lies in one place for each instance,
and what another roll-out has put there is left alone.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from ..broker_config import keys
from ..broker_config.chunks import chunks
from ..broker_config.errors import RedisRefused, Refused
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis, raise_refused
from ..broker_config.redis.connection import Command
from ..broker_config.releases.publisher_signing import system_of
from ..broker_config.releases.rollouts import (
    CUT_OFF,
    DOWNLOADING,
    FAILURES,
    FINAL,
    LOST,
    NOT_BEGUN,
    ORDERED,
    REFUSED,
    REVOCABLE,
    SUCCEEDED,
    UNDECIDED,
    WAITING,
    Member,
    Progress,
    Rollout,
    load_rollouts,
    replace_rollout,
)
from ..broker_config.releases.upgrade_order import PROFILE_FIELD, UpgradeOrder, read_order, read_signed, signed_order
from ..broker_config.reported_values import whole_number
from ..broker_config.security.envelope_signing import key_ids
from ..broker_config.security.signing import MasterKeys, parse_signature
from ..broker_config.timed.timed_invocation import server_ms

_DAY_MS = 86_400_000
#: An order may wait this long for its window.
_ORDER_LIFE_MS = 7 * _DAY_MS
#: An instance that is not heard of for this long, beyond its probation, counts as failed when it had begun; else its
#: order is taken back until it returns. Who is heard of and has not taken its order by then does not take it.
_LOST_AFTER_MS = 600_000
#: Instances whose keys are asked for together.
_KEYS_AT_ONCE_COUNT = 100
#: Of an agent's words: a true one writes no more.
_STAGE_CHARACTERS = 32
_REASON_CHARACTERS = 300
_REPORT = ("agent_version", "os_type", "arch", "upgrade_serial", "upgrade_stage", "upgrade_reason")

_WITHOUT_KEY = (
    "that of version {} is sealed, and no master key is here; copy the master key file, or name it with "
    "security.master_key_file"
)

_log = logger("beat")


@dataclass(frozen=True)
class Report:
    """What an instance's agent says of itself."""

    version: str
    system: str
    serial: int
    stage: str
    reason: str

    @classmethod
    def of(cls, reply: Sequence[bytes | None]) -> "Report | None":
        """Read the fields of a heartbeat; ``None`` when there is none."""
        version, os_type, arch, serial, stage, reason = ((part or b"").decode("utf-8", "replace") for part in reply)
        if not version:
            return None
        system = "/".join(system_of(os_type, arch))
        return cls(version, system, whole_number(serial), stage[:_STAGE_CHARACTERS], reason[:_REASON_CHARACTERS])


class _Lying(NamedTuple):
    """What lies as an order for an instance."""

    #: Whose it is; ``""`` when nobody can tell.
    rollout_id: str
    #: There is none, or one that the instance cannot take any more.
    is_void: bool

    @classmethod
    def of(cls, order: bytes | RedisRefused | None, key_id: str) -> "_Lying":
        """Look at one for an instance that is signed for with this key; ``""`` where nothing is signed."""
        if order is None:
            return cls("", is_void=True)
        if isinstance(order, RedisRefused):
            return cls("", is_void=False)
        try:
            signed = read_signed(order)
            signed_with = parse_signature(signed.signature.encode()).key_id
            return cls(read_order(signed).rollout_id, is_void=bool(key_id) and signed_with != key_id)
        except Refused:
            return cls("", is_void=False)


class RolloutSteps:
    """The roll-outs of one installation."""

    def __init__(self, redis: Redis, master: MasterKeys | None) -> None:
        self._redis = redis
        self._master = master
        #: What was said of roll-outs that nobody carries out, so that it is said once.
        self._told: set[str] = set()
        #: Instances for which no order could be signed, for the same reason.
        self._unsigned: set[str] = set()

    def work(self) -> None:
        """Take every open roll-out a step further.

        Raises:
            RedisUnreachable, RedisRefused: the next step comes later.
        """
        rollouts = load_rollouts(self._redis, self._master)
        reasons = {str(one.why) for one in rollouts.unusable}
        mine: list[Progress] = []
        for progress in rollouts.usable:
            if progress.has_seal and self._master is None:
                reasons.add(_WITHOUT_KEY.format(progress.rollout.version))
            else:
                mine.append(progress)
        self._tell(reasons)
        for progress in mine:
            if progress.is_open or any(member.stage not in FINAL for member in progress.members.values()):
                self._step(progress)

    def _tell(self, reasons: set[str]) -> None:
        for reason in sorted(reasons - self._told):
            _log.error("a roll-out is left alone: %s", reason)
        self._told = reasons

    def _step(self, progress: Progress) -> None:
        rollout, now = progress.rollout, server_ms(self._redis)
        chosen = chosen_of(rollout, self._candidates(rollout))
        looked_at = [one for one in chosen if _stage(progress.members, one) not in FINAL]
        is_chosen = set(chosen)
        looked_at += [
            name for name, member in progress.members.items() if name not in is_chosen and member.stage not in FINAL
        ]
        reports = self._reports(looked_at)
        members = dict(progress.members)
        lying = self._lying([name for name in looked_at if name in members])
        changed: dict[str, Member | None] = {}
        for name in looked_at:
            if name in members:
                fresh = advanced(members[name], reports[name], rollout, now)
                if fresh is not None and fresh.stage in NOT_BEGUN and lying[name].is_void:
                    # Registered anew, or with new credentials, since then: it cannot take the order that it was given.
                    fresh = None
                if fresh is None:
                    del members[name]
                    changed[name] = None
                elif fresh != members[name]:
                    changed[name] = members[name] = fresh
        failed_count = sum(member.stage in FAILURES for member in members.values()) - rollout.forgiven_count
        halted = progress.halted
        if not halted and failed_count >= most_failures(rollout, len(chosen)):
            halted = f"{failed_count} of {len(chosen)} chosen instances failed"
            if not self._replace(progress, halted=halted):
                return
            _log.error("roll-out of version %s stopped: %s", rollout.version, halted)
        orders: list[Command] = []
        if progress.state == "Running" and not halted:
            orders = self._go_on(rollout, chosen, members, reports, changed, now)
        else:
            changed.update(dict.fromkeys(name for name, member in members.items() if member.stage in REVOCABLE))
        is_own = {name for name, order in lying.items() if order.rollout_id == rollout.rollout_id}
        self._write(rollout, changed, is_own, orders)
        is_over = bool(chosen) and all(_stage(members, one) in FINAL for one in chosen)
        is_all = not halted and not progress.finished_ms and rollout.share_percent >= 100
        if is_over and is_all and self._replace(progress, finished_ms=now):
            _log.info("roll-out of version %s is finished", rollout.version)

    def _replace(self, progress: Progress, **outcome: Any) -> bool:
        """Note what came of a roll-out, unless somebody asked for something else since: the next step knows that."""
        return replace_rollout(self._redis, progress, msgspec.structs.replace(progress, **outcome), self._master)

    def _go_on(
        self,
        rollout: Rollout,
        chosen: Sequence[str],
        members: dict[str, Member],
        reports: Mapping[str, Report | None],
        changed: dict[str, Member | None],
        now: int,
    ) -> list[Command]:
        """Choose the next instances, as many as may be on their way at once; answers what gives them their orders."""
        on_the_way_count = sum(member.stage not in FINAL for member in members.values())
        room_count = (rollout.at_once_count or math.ceil(len(chosen) / 10)) - on_the_way_count
        waiting: list[tuple[str, Report]] = []
        for name in chosen:
            report = reports.get(name)
            if name in members or report is None:
                continue
            if report.version == rollout.version:
                changed[name] = members[name] = Member(stage=SUCCEEDED, reason="ran it already", changed_ms=now)
            elif report.system not in rollout.signatures:
                reason = f"nothing was published for {report.system}"
                changed[name] = members[name] = Member(stage=REFUSED, reason=reason, changed_ms=now)
            else:
                waiting.append((name, report))
        orders = []
        for name, serial, order in islice(self._orders(rollout, waiting, now), max(0, room_count)):
            orders.append(order)
            changed[name] = members[name] = Member(serial=serial, stage=ORDERED, changed_ms=now)
        return orders

    def _orders(
        self, rollout: Rollout, instances: Sequence[tuple[str, Report]], now: int
    ) -> Iterator[tuple[str, int, Command]]:
        """What writes an order into each instance's profile, and the order's serial.

        Those whose order cannot be signed are left out, and keep no place from others.
        """
        for (name, report), key_id in self._with_keys(instances):
            # An agent takes none that seems older than its last one, which it may have had by a clock that was ahead.
            serial = max(now, report.serial + 1)
            order = UpgradeOrder(
                serial=serial,
                rollout_id=rollout.rollout_id,
                instance_id=name,
                version=rollout.version,
                signature=rollout.signatures[report.system],
                url=rollout.url,
                window=rollout.window,
                expires_ms=now + _ORDER_LIFE_MS,
                probation_seconds=rollout.probation_seconds,
                again=rollout.again,
            )
            try:
                signed = signed_order(order, self._master, key_id)
            except KeyError:
                if name not in self._unsigned:
                    _log.error("no order for %s: its key comes from a master key that is not here", name)
                self._unsigned.add(name)
                continue
            self._unsigned.discard(name)
            yield name, serial, ("HSET", keys.profile(name), PROFILE_FIELD, signed)

    def _with_keys(self, instances: Sequence[tuple[str, Report]]) -> Iterator[tuple[tuple[str, Report], str]]:
        """Instances with the key that each holds, asked for as far as they are needed."""
        remaining = iter(instances)
        while some := list(islice(remaining, _KEYS_AT_ONCE_COUNT)):
            yield from zip(some, key_ids(self._redis, [one for one, _ in some]), strict=True)

    def _write(
        self,
        rollout: Rollout,
        changed: Mapping[str, Member | None],
        is_own: Collection[str],
        orders: Sequence[Command],
    ) -> None:
        """Write orders, and how far instances are; those that are through, or shall not begin, keep none of ours.

        All of it or nothing: an order that nobody has noted, or that is noted by another's serial, is not taken back.
        """
        name_of_all = keys.rollout_members(rollout.rollout_id)
        commands: list[Command] = []
        for name, member in changed.items():
            if member is None:
                commands.append(("HDEL", name_of_all, name))
            else:
                commands.append(("HSET", name_of_all, name, msgspec.json.encode(member)))
            if name in is_own and (member is None or member.stage in FINAL):
                commands.append(("HDEL", keys.profile(name), PROFILE_FIELD))
        commands += orders
        if commands:
            raise_refused(self._redis.pipeline_or_raise([("MULTI",), *commands, ("EXEC",)])[-1])

    def _candidates(self, rollout: Rollout) -> list[str]:
        if rollout.instance_ids:
            # Nobody becomes an instance again by an order.
            places = self._redis.call("ZMSCORE", keys.INSTANCES, *rollout.instance_ids)
            return [one for one, place in zip(rollout.instance_ids, places, strict=True) if place is not None]
        if rollout.tags:
            names = [
                keys.tag("instance", key, value) if value is not None else keys.tag_key("instance", key)
                for key, value in rollout.tags.items()
            ]
            return [one.decode() for one in self._redis.call("SINTER", *names)]
        return [one.decode() for one in self._redis.call("ZRANGE", keys.INSTANCES, 0, -1)]

    def _lying(self, names: Sequence[str]) -> dict[str, "_Lying"]:
        """What lies as an order for each of these instances."""
        found: dict[str, _Lying] = {}
        for some in chunks(names, _KEYS_AT_ONCE_COUNT):
            held = key_ids(self._redis, some)
            orders = run_apart(self._redis, [("HGET", keys.profile(one), PROFILE_FIELD) for one in some])
            for name, order, key_id in zip(some, orders, held, strict=True):
                found[name] = _Lying.of(order, key_id or (self._master.current if self._master else ""))
        return found

    def _reports(self, names: Sequence[str]) -> dict[str, Report | None]:
        if not names:
            return {}
        replies = run_apart(self._redis, [read_fields_command(keys.info(name), *_REPORT) for name in names])
        return {
            name: None if isinstance(reply, RedisRefused) else Report.of(reply)
            for name, reply in zip(names, replies, strict=True)
        }


def chosen_of(rollout: Rollout, candidates: Sequence[str]) -> list[str]:
    """The share that has its turn; a greater share adds instances and takes none away."""
    ordered = sorted(candidates, key=lambda one: hashlib.sha256(f"{rollout.rollout_id} {one}".encode()).digest())
    return ordered[: math.ceil(len(ordered) * rollout.share_percent / 100)]


def most_failures(rollout: Rollout, chosen_count: int) -> int:
    """How many failures stop a roll-out."""
    return max(1, math.ceil(chosen_count * rollout.failures_percent / 100))


def advanced(member: Member, report: Report | None, rollout: Rollout, now: int) -> Member | None:
    """How far an instance is by what its agent reports; ``None`` when its order is to be taken back."""
    patience_ms = int(rollout.probation_seconds * 1000) + _LOST_AFTER_MS
    if report is None:
        return _without_report(member, now, patience_ms)
    if report.serial == member.serial and report.stage:
        # The agent repeats a trial that was cut off, as long as its order lies there.
        stage, reason = CUT_OFF if report.stage == UNDECIDED else report.stage, report.reason
    elif report.version == rollout.version:
        # It got there in another way.
        stage, reason = SUCCEEDED, "ran it already"
    else:
        stage, reason = member.stage, member.reason
    if stage == member.stage and not member.away_ms:
        stage, reason = _given_up(stage, reason, now - member.changed_ms, patience_ms) or (stage, reason)
    if (stage, reason) == (member.stage, member.reason):
        # One that is back has its time to take the order anew.
        return msgspec.structs.replace(member, away_ms=0, changed_ms=now) if member.away_ms else member
    return Member(serial=member.serial, stage=stage, reason=reason, changed_ms=now)


def _without_report(member: Member, now: int, patience_ms: int) -> Member | None:
    """Who was switched off before he began says nothing about the version, and keeps no place from others."""
    if not member.away_ms:
        return msgspec.structs.replace(member, away_ms=now)
    if now - member.away_ms < patience_ms:
        return member
    if member.stage in NOT_BEGUN:
        return None
    return Member(serial=member.serial, stage=LOST, reason="not heard of any more", changed_ms=now)


def _given_up(stage: str, reason: str, for_ms: int, patience_ms: int) -> tuple[str, str] | None:
    """What is said of who is heard of and comes no further: he keeps a place from others."""
    if stage == ORDERED:
        return (REFUSED, "its agent does not take the order, its log says why") if for_ms > patience_ms else None
    if stage == WAITING:
        return (REFUSED, "its order expired while it waited") if for_ms > _ORDER_LIFE_MS + patience_ms else None
    if stage == CUT_OFF:
        return (UNDECIDED, reason) if for_ms > patience_ms else None
    if stage == DOWNLOADING:
        return (REFUSED, "it was still downloading after a day") if for_ms > _DAY_MS else None
    return (UNDECIDED, "its trial had not ended after a day") if for_ms > _DAY_MS + patience_ms else None


def _stage(members: Mapping[str, Member], name: str) -> str:
    return members[name].stage if name in members else ""
