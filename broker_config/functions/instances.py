"""Typed calls for instances: register one, and its agent's heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass

from .. import keys
from ..redis_client import Redis
from ..redis_connection import Argument
from .library import fcall, run


@dataclass(frozen=True)
class Beat:
    """What a heartbeat found: the server's clock, who beat before us (``""`` for nobody), and what waits for us."""

    server_ms: int
    epoch: str
    boot_id: str
    machine_id: str
    #: Executions without a final state, waiting messages included or not.
    open_count: int
    #: Messages in the queue.
    queue_count: int
    name: str
    account_id: str


def register_instance(
    redis: Redis, instance_id: str, fields: Mapping[str, Argument], *, now_ms: int, must_be_new: bool
) -> bool:
    """Write an instance's profile; false when it is registered already and had to be new."""
    pairs: list[Argument] = [part for pair in fields.items() for part in pair]
    reply = run(
        redis,
        fcall(
            "ca_register_instance",
            [keys.INSTANCES, keys.profile(instance_id)],
            [instance_id, now_ms, int(must_be_new), *pairs],
        ),
    )
    return bool(reply == b"ok")


def heartbeat(
    redis: Redis,
    instance_id: str,
    epoch: str,
    fields: Mapping[str, Argument],
    *,
    ttl_ms: int,
    take_over: bool,
) -> Beat:
    """Refresh an agent's info key; a different living epoch is left alone unless ``take_over``."""
    pairs: list[Argument] = [part for pair in fields.items() for part in pair]
    touched = [
        keys.info(instance_id),
        keys.open_executions(instance_id),
        keys.queue(instance_id),
        keys.profile(instance_id),
    ]
    reply = run(redis, fcall("ca_heartbeat", touched, [epoch, ttl_ms, int(take_over), *pairs]))
    return Beat(
        server_ms=int(reply[0]),
        epoch=reply[1].decode(),
        boot_id=reply[2].decode(),
        machine_id=reply[3].decode(),
        open_count=reply[4],
        queue_count=reply[5],
        name=reply[6].decode(),
        account_id=reply[7].decode(),
    )
