"""Enter executions that agents made when their machines started in what the control side keeps of an invocation."""

from collections.abc import Iterator

from ..broker_config import keys
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.boot_firings import NOTES_KEPT_BYTES, note_boot_command
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.functions.timed import move_timed_command
from ..broker_config.ids import split_execution_id
from ..broker_config.ledger import load_targets
from ..broker_config.records import RepeatMode
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.timed.timed_invocation import Timed, TimedStatus, load_timed_all, server_ms

#: Invocations and targets looked at in one turn.
_INVOCATIONS_PER_TURN = 50
_TARGETS_PER_TURN = 2_000


class BootNotes:
    """Looks at boot-bound invocations in turn, for all beats alike."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._place = 0
        self._target_place = 0

    def work(self) -> None:
        """Look at the next few.

        Raises:
            RedisUnreachable, RedisRefused: they are looked at again.
        """
        targets_left = _TARGETS_PER_TURN
        last = self._place + _INVOCATIONS_PER_TURN - 1
        names = [name.decode() for name in self._redis.call("ZRANGE", keys.TIMED_BOOT, self._place, last)]
        for timed in load_timed_all(self._redis, names):
            if isinstance(timed, Timed):
                targets_left -= self._note(timed, targets_left)
            if targets_left <= 0:
                return
            self._place += 1
            self._target_place = 0
        if len(names) < _INVOCATIONS_PER_TURN:
            self._place = 0

    def _note(self, timed: Timed, count: int) -> int:
        """Note what some targets of one invocation have run; answer how many targets were looked at."""
        targets = load_targets(self._redis, timed.invoke_id)
        looked_at = targets[self._target_place : self._target_place + count]
        self._target_place += len(looked_at)
        note_boots(self._redis, timed, looked_at, len(targets))
        return len(looked_at)


def note_boots(redis: Redis, timed: Timed, targets: list[str], target_count: int) -> None:
    """Note what these targets have run and nobody has noted yet."""
    if not targets:
        return
    fired = run_apart(redis, [_notes_command(timed, one) for one in targets])
    found = [
        one for instance_id, noted in zip(targets, fired, strict=True) for one in _named(timed, instance_id, noted)
    ]
    is_once = timed.schedule.repeat_mode == RepeatMode.NEXT_REBOOT_ONLY
    if found:
        now_ms = server_ms(redis)
        run_apart(
            redis,
            [
                note_boot_command(*names, once_for_count=target_count if is_once else 0)
                for names in ((timed.invoke_id, *one) for one in found if one[2] <= now_ms)
            ],
        )
    if is_once:
        _end_if_through(redis, timed, target_count)


def _end_if_through(redis: Redis, timed: Timed, target_count: int) -> None:
    """End what runs once on each target when those that have not run were stopped.

    A target may have run and be stopped as well, so the two are not simply added.
    """
    latest, stopped = keys.timed_latest(timed.invoke_id), keys.timed_stopped(timed.invoke_id)
    ran_count, stopped_count = redis.pipeline_or_raise([("HLEN", latest), ("SCARD", stopped)])
    if not stopped_count or ran_count + stopped_count < target_count:
        return
    names = [one.decode() for one in redis.call("SMEMBERS", stopped)]
    ran = redis.call("HMGET", latest, *names)
    idle = [name for name, at in zip(names, ran, strict=True) if at is None]
    if ran_count + len(idle) < target_count:
        return
    if any(reply != [None] for reply in run_apart(redis, [_notes_command(timed, one) for one in idle])):
        # One of them has run and nobody has noted it yet.
        return
    reason = "each target has run once, or was stopped"
    run_apart(redis, [move_timed_command(timed.invoke_id, [TimedStatus.ACTIVE], TimedStatus.ENDED, reason=reason)])


def _notes_command(timed: Timed, instance_id: str) -> Command:
    return read_fields_command(keys.boot_bound(instance_id), f"{timed.invoke_id}:fired")


def _named(timed: Timed, instance_id: str, noted: list[bytes | None] | RedisRefused) -> Iterator[tuple[str, str, int]]:
    """The executions that an agent names, with their moments: its words, so only its own of this invocation count."""
    if isinstance(noted, RedisRefused):
        return
    for execution in (noted[0] or b"")[-NOTES_KEPT_BYTES:].decode("utf-8", "replace").split(","):
        parts = split_execution_id(execution)
        if parts is not None and parts[::2] == (timed.invoke_id, instance_id):
            yield instance_id, execution, parts[1]
