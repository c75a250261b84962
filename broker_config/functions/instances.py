"""Typed calls for instances: register one, and its agent's heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass

from .. import keys
from ..redis_client import Redis
from ..redis_connection import Argument
from .library import fcall, run


@dataclass(frozen=True)
class Beat:
    """What a heartbeat found: the server's clock, and who beat before us (``""`` for nobody)."""

    server_ms: int
    epoch: str
    boot_id: str
    machine_id: str


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
    reply = run(redis, fcall("ca_heartbeat", [keys.info(instance_id)], [epoch, ttl_ms, int(take_over), *pairs]))
    return Beat(int(reply[0]), reply[1].decode(), reply[2].decode(), reply[3].decode())
