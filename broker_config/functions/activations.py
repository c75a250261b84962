"""Typed calls for activations."""

from dataclasses import dataclass

from .. import keys
from ..redis.client import Redis
from ..redis.connection import Argument
from ..reported_values import text
from .function_library import fcall, run


@dataclass(frozen=True)
class Taken:
    """What came of asking for a use: ``taken`` or ``again`` with the instance id, else the reason against it."""

    word: str
    instance_id: str
    number: int
    #: What was given with a new use; kept with it, and of somebody else when the use was not given here.
    seal: str = ""


def take_activation(
    redis: Redis,
    activation_id: str,
    *,
    machine: str,
    proof: str,
    instance_id: str,
    uses_count: int,
    ends_ms: int,
    another: bool,
    seal: str,
) -> Taken:
    """Give one use to a machine, never more than there are; a machine that proves to have one gets the same again."""
    word, given, number, kept = run(
        redis,
        fcall(
            "ca_take_activation",
            [keys.activation(activation_id), keys.activation_machines(activation_id)],
            [machine, proof, instance_id, uses_count, ends_ms, int(another), seal],
        ),
    )
    return Taken(word.decode(), text(given), number, text(kept))


def create_activation(redis: Redis, activation_id: str, record: bytes, created_ms: int, most_count: int) -> str:
    """Store an activation; answers ``ok``, ``full`` or ``exists``."""
    arguments: list[Argument] = [activation_id, record, created_ms, most_count]
    # It stores any record in a list of so many.
    reply: bytes = run(redis, fcall("ca_create_command", [keys.activation(activation_id), keys.ACTIVATIONS], arguments))
    return reply.decode()


def delete_activation(redis: Redis, activation_id: str) -> str:
    """Delete an activation with which no machine has registered; answers ``ok``, ``unknown`` or ``in_use``."""
    touched = [keys.activation(activation_id), keys.ACTIVATIONS]
    reply: bytes = run(redis, fcall("ca_delete_activation", touched, [activation_id]))
    return reply.decode()


def forget_machine(redis: Redis, activation_id: str, *, machine: str, instance_id: str) -> None:
    """Forget that a machine is this instance, and count it as deregistered; an activation that is gone stays so."""
    touched = [keys.activation(activation_id), keys.activation_machines(activation_id)]
    run(redis, fcall("ca_forget_machine", touched, [machine, instance_id]))
