"""Enter executions that agents made when their machines started in what the control side keeps of an invocation."""

from ..broker_config import keys
from ..broker_config.functions.boot_firings import note_boot_command
from ..broker_config.functions.function_library import run_all
from ..broker_config.ids import split_execution_id
from ..broker_config.ledger import load_targets
from ..broker_config.records import RepeatMode
from ..broker_config.redis_client import Redis
from ..broker_config.redis_connection import Command
from ..broker_config.timed import Timed, load_timed_all

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
            if timed is not None:
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
    fired = redis.pipeline_or_raise([("HGET", keys.boot_bound(one), f"{timed.invoke_id}:fired") for one in targets])
    stopped_count = redis.call("SCARD", keys.timed_stopped(timed.invoke_id))
    is_once = timed.schedule.repeat_mode == RepeatMode.NEXT_REBOOT_ONLY
    commands: list[Command] = []
    for instance_id, executions in zip(targets, fired, strict=True):
        for execution in (executions or b"").decode().split(","):
            parts = split_execution_id(execution)
            if parts is not None:
                once_for_count = target_count - stopped_count if is_once else 0
                commands.append(
                    note_boot_command(timed.invoke_id, instance_id, execution, parts[1], once_for_count=once_for_count)
                )
    if commands:
        run_all(redis, commands)
