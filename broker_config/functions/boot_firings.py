"""Typed calls for invocations bound to the start of a machine: the agent's, and a beat's notes of them."""

from dataclasses import dataclass
from typing import Any

from .. import keys
from ..clock import server_time_ms
from ..ids import execution_id, is_invocation_id
from ..redis.client import Redis
from ..redis.connection import Argument, Command
from ..reported_values import text
from .executions import Claimed, NotClaimed, claim_reply
from .function_library import fcall, run_all

#: What ``boot_firing.lua`` keeps of an agent's notes, the latest last; what an agent has written beyond it is not read.
NOTES_KEPT_BYTES = 4096


@dataclass(frozen=True)
class BootExecution:
    """An execution that this call made and claimed for this boot."""

    execution_id: str
    claimed: Claimed


def fire_boot(
    redis: Redis, instance_id: str, *, boot_id: str, uptime_ms: int, epoch: str, report_margin_ms: int
) -> list[BootExecution]:
    """Make and claim the executions that this start of the machine owes; an agent calls it once when it has started.

    Every invocation gets at most one per boot id, however often and by however many this is called. The machine must
    have started after the invocation was made: where the boot at that time was known, by boot id, else by ``uptime_ms``
    and Redis' clock. Each answer is claimed already and must be run or reported.

    Raises:
        RedisUnreachable: no answer; executions may have been made, and are found in the instance's ledger.
        RedisRefused: the server's own error.
    """
    time, names = redis.pipeline_or_raise([("TIME",), ("HKEYS", keys.boot_bound(instance_id))])
    firing_ms = server_time_ms(time)
    # Whoever has the instance's credentials may have put any name there; one becomes that of a folder on its disk.
    invoke_ids = [name for name in map(text, names) if is_invocation_id(name)]
    commands: list[Command] = []
    executions = [execution_id(one, firing_ms, instance_id) for one in invoke_ids]
    for invoke_id, execution in zip(invoke_ids, executions, strict=True):
        touched = [
            keys.boot_bound(instance_id),
            keys.execution(instance_id, execution),
            keys.open_executions(instance_id),
            keys.instance_history(instance_id),
        ]
        arguments: list[Argument] = [invoke_id, execution, firing_ms, boot_id, uptime_ms, epoch, report_margin_ms]
        commands.append(fcall("ca_fire_boot", touched, arguments))
    claims = map(_claim, run_all(redis, commands))
    return [
        BootExecution(execution, claim)
        for execution, claim in zip(executions, claims, strict=True)
        if isinstance(claim, Claimed)
    ]


def note_boot_command(
    invoke_id: str, instance_id: str, execution: str, firing_ms: int, *, once_for_count: int
) -> Command:
    """Build the note of an execution that an agent made; ``once_for_count`` targets run once each, 0: at every boot.

    Answers 1, or 0 when it was noted before.
    """
    touched = [
        keys.boot_bound(instance_id),
        keys.timed(invoke_id),
        keys.timed_latest(invoke_id),
        keys.firings(invoke_id),
        keys.firing(invoke_id, firing_ms),
        keys.DEADLINES,
        keys.execution(instance_id, execution),
        keys.TIMED_BOOT,
        keys.INVOCATIONS_OPEN,
    ]
    return fcall("ca_note_boot", touched, [invoke_id, instance_id, execution, firing_ms, once_for_count])


def _claim(reply: list[Any]) -> Claimed | NotClaimed:
    return claim_reply(reply) if reply[0] == 1 else NotClaimed("", reply[1].decode())
