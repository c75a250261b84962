"""Typed calls for instances: register one, and its agent's heartbeat."""

from collections.abc import Mapping

import msgspec

from .. import keys
from ..redis_client import Redis
from ..redis_connection import Argument
from .function_library import fcall, run, run_all


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
    touched = [keys.info(instance_id), keys.open_executions(instance_id), keys.queue(instance_id)]
    reply, profile, quarantine, bundle = run_all(
        redis,
        [
            fcall("ca_heartbeat", touched, [epoch, ttl_ms, int(take_over), *pairs]),
            # Beside the function: an agent may only read these, and a function's keys count as written.
            ("HMGET", keys.profile(instance_id), "name", "account_id"),
            ("HGET", keys.quarantine(instance_id), "reason"),
            ("GET", keys.key_bundle(instance_id)),
        ],
    )
    return Beat(
        server_ms=int(reply[0]),
        epoch=reply[1].decode(),
        boot_id=reply[2].decode(),
        machine_id=reply[3].decode(),
        open_count=reply[4],
        queue_count=reply[5],
        name=(profile[0] or b"").decode(),
        account_id=(profile[1] or b"").decode(),
        quarantine=(quarantine or b"").decode(),
        key_bundle=bundle or b"",
    )
