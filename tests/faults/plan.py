"""Which faults come when: drawn from a seed alone, so that a run can be repeated. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What the injector can do."""

    AGENT_KILLED = "agent killed (SIGKILL)"
    AGENT_ENDED = "agent ended (SIGTERM)"
    AGENT_FROZEN = "agent frozen (SIGSTOP)"
    AGENT_CRASHED = "agent killed at a named point"
    SUPERVISOR_KILLED = "supervisor killed"
    MACHINE_RESTARTED = "machine restarted (new boot id)"
    LINE_CUT = "line cut"
    LINE_DROPPED = "connections reset"
    LINE_SILENT = "line half-open"
    LINE_SLOW = "line slow"
    REDIS_KILLED = "Redis killed and restarted"
    REDIS_HUNG = "Redis hung"
    REDIS_FULL = "Redis out of memory"
    MESSAGES_DOUBLED = "messages delivered again"
    MESSAGES_SHUFFLED = "messages reordered"
    MESSAGES_LOST = "messages lost"
    MESSAGE_DAMAGED = "damaged message"
    REQUEST_FORGED = "request that nobody signed"
    BEAT_KILLED = "beat killed"


#: Faults of one machine and its line; these come in the first lane.
_OF_INSTANCES = {
    Fault.AGENT_KILLED: 8,
    Fault.AGENT_ENDED: 3,
    Fault.AGENT_FROZEN: 3,
    Fault.AGENT_CRASHED: 8,
    Fault.SUPERVISOR_KILLED: 4,
    Fault.MACHINE_RESTARTED: 2,
    Fault.LINE_CUT: 5,
    Fault.LINE_DROPPED: 6,
    Fault.LINE_SILENT: 4,
    Fault.LINE_SLOW: 3,
}
_OF_SUPERVISORS = frozenset({Fault.SUPERVISOR_KILLED})
#: Faults of what all share; these come at the same time, in the second lane.
_OF_ALL = {
    Fault.REDIS_KILLED: 5,
    Fault.REDIS_HUNG: 4,
    Fault.REDIS_FULL: 2,
    Fault.MESSAGES_DOUBLED: 5,
    Fault.MESSAGES_SHUFFLED: 4,
    Fault.MESSAGES_LOST: 3,
    Fault.MESSAGE_DAMAGED: 4,
    Fault.REQUEST_FORGED: 3,
    Fault.BEAT_KILLED: 3,
}
_LONGEST_HOLD_SECONDS = 3.0
_LONGEST_PAUSE_SECONDS = 4.0
#: A hang of a minute, once in a long run.
_LONG_HANG_SECONDS = 60.0
_LONG_RUN_SECONDS = 300.0


@dataclass(frozen=True)
class PlannedFault:
    """One fault: after a pause, on one instance, held for a while."""

    fault: Fault
    pause_seconds: float
    hold_seconds: float
    instance_id: str
    #: For what the fault itself has to choose.
    seed: int


def plan(
    seed: int, seconds: float, instance_ids: Sequence[str], *, has_supervisors: bool = True
) -> tuple[list[PlannedFault], list[PlannedFault]]:
    """Draw the faults of a run: one lane for single instances, one for what they share."""
    of_instances = {
        one: weight for one, weight in _OF_INSTANCES.items() if has_supervisors or one not in _OF_SUPERVISORS
    }
    lanes = []
    for number, weights in enumerate((of_instances, _OF_ALL)):
        dice = random.Random(f"{seed}/{number}")
        lane: list[PlannedFault] = []
        at_seconds = 0.0
        while at_seconds < seconds:
            one = _draw(dice, weights, instance_ids)
            lane.append(one)
            at_seconds += one.pause_seconds + one.hold_seconds
        if number == 1 and seconds >= _LONG_RUN_SECONDS:
            middle = len(lane) // 2
            lane.insert(middle, PlannedFault(Fault.REDIS_HUNG, 1.0, _LONG_HANG_SECONDS, instance_ids[0], 0))
        lanes.append(lane)
    return lanes[0], lanes[1]


def _draw(dice: random.Random, weights: dict[Fault, int], instance_ids: Sequence[str]) -> PlannedFault:
    return PlannedFault(
        fault=dice.choices(list(weights), list(weights.values()))[0],
        pause_seconds=dice.uniform(0.2, _LONGEST_PAUSE_SECONDS),
        hold_seconds=dice.uniform(0.0, _LONGEST_HOLD_SECONDS),
        instance_id=dice.choice(list(instance_ids)),
        seed=dice.randrange(2**32),
    )
