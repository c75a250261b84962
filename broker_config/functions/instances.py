"""Typed calls for instances: register one, and its agent's heartbeat."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .. import keys
from ..redis.client import Redis
from ..redis.connection import Argument, Command
from ..reported_values import text
from .function_library import fcall, run


class Beat(msgspec.Struct, frozen=True):
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
    #: Why the instance gets no work, ``""`` when it does.
    quarantine: str
    #: New keys of this instance, encrypted with one that it holds; empty when there are none.
    key_bundle: bytes
    #: The order to become another version; empty when there is none.
    upgrade_order: bytes = b""


def register_instance(
    redis: Redis, instance_id: str, fields: Mapping[str, Argument], *, now_ms: int, must_be_new: bool
) -> bool:
    """Write an instance's profile; false when it is registered already and had to be new."""
    pairs: list[Argument] = [part for pair in fields.items() for part in pair]
    reply = run(
        redis,
        fcall(
            "ca_register_instance",
            [keys.INSTANCES, keys.profile(instance_id), keys.instance_history(instance_id)],
            [instance_id, now_ms, int(must_be_new), *pairs],
        ),
    )
    return bool(reply == b"ok")


def heartbeat_command(
    instance_id: str, epoch: str, fields: Mapping[str, Argument], *, ttl_ms: int, take_over: bool
) -> Command:
    """Build the heartbeat of an agent, for a pipeline; read its reply with ``beat_reply``."""
    pairs: list[Argument] = [part for pair in fields.items() for part in pair]
    read = [keys.profile(instance_id), keys.quarantine(instance_id), keys.key_bundle(instance_id)]
    return fcall(
        "ca_heartbeat",
        [keys.info(instance_id), keys.open_executions(instance_id), keys.queue(instance_id)],
        [epoch, ttl_ms, int(take_over), *read, *pairs],
    )


def beat_reply(reply: list[Any]) -> Beat:
    """Read what the heartbeat answered."""
    # A function library of a later release may say more.
    now, epoch, boot_id, machine_id, open_count, queue_count, name, account_id, quarantine, bundle, order = reply[:11]
    return Beat(
        server_ms=int(now),
        epoch=text(epoch),
        boot_id=text(boot_id),
        machine_id=text(machine_id),
        open_count=open_count,
        queue_count=queue_count,
        name=text(name),
        account_id=text(account_id),
        quarantine=text(quarantine),
        key_bundle=bundle,
        upgrade_order=order,
    )


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
    return beat_reply(run(redis, heartbeat_command(instance_id, epoch, fields, ttl_ms=ttl_ms, take_over=take_over)))
