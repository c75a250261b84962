"""Invocations that run when a machine starts: what each of their instances is given to keep.

The work order is signed when the invocation is made, since nobody but the agent knows when its machine starts. Such an
envelope does not expire. It is worth nothing as an ordinary execution: no firing has the number it is signed for.
"""

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from .. import keys
from ..chunks import chunks
from ..functions.entries import replace_entry_command
from ..functions.function_library import run_all
from ..functions.reported import read_fields_command
from ..messages import Envelope, encode
from ..records import Invocation, RepeatMode
from ..redis.client import Redis
from ..redis.connection import Command
from ..security.envelope_signing import EnvelopeSigner, key_ids
from ..security.signing import MasterKeys

#: The firings that envelopes of boot-bound invocations are signed for: of those that run at every start, and of those
#: that run at the next one only. Executions never have them.
BOOT_FIRING_MS = -1
NEXT_BOOT_FIRING_MS = -2
#: The end of the year 9999.
NEVER_MS = 253_402_300_799_000
#: Instances written in one round trip.
_CHUNK_COUNT = 500


class BootEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What ``boot_firing.lua`` reads."""

    envelope: str
    mac: str
    key_id: str
    done: str
    command_id: str
    timeout_seconds: int
    #: Redis' clock when it was made: a machine that started before does not owe it anything.
    created_ms: int
    once: bool


def bind(
    redis: Redis,
    invocation: Invocation,
    order_digest: str,
    targets: Sequence[str],
    master: MasterKeys | None,
    *,
    created_ms: int,
    secret_values: Mapping[str, str] | None = None,
) -> None:
    """Hand an invocation to its instances, or hand it to them anew; repeated calls do no harm.

    Raises:
        Refused: an instance holds a key whose master key is not here.
    """
    signer = EnvelopeSigner(redis, master)
    is_once = invocation.schedule.repeat_mode == RepeatMode.NEXT_REBOOT_ONLY
    envelope = _envelope(invocation, order_digest, created_ms)

    def made(held: Mapping[str, str]) -> dict[str, bytes]:
        macs = signer.signatures(list(held), envelope, secret_values, list(held.values()))
        return {
            instance_id: msgspec.json.encode(
                BootEntry(
                    envelope=envelope.decode(),
                    mac=mac.decode(),
                    key_id=master.current if master else "",
                    done=invocation.done_channel,
                    command_id=invocation.command.command_id,
                    timeout_seconds=invocation.timeout_seconds,
                    created_ms=created_ms,
                    once=is_once,
                )
            )
            for instance_id, mac in zip(held, macs, strict=True)
        }

    for chunk in chunks(targets, _CHUNK_COUNT):
        boots = run_all(redis, [read_fields_command(keys.info(one), "boot_id") for one in chunk])
        held = dict(zip(chunk, key_ids(redis, chunk), strict=True))
        written = made(held)
        commands: list[Command] = []
        for instance_id, (boot_id,) in zip(chunk, boots, strict=True):
            branch = keys.boot_bound(instance_id)
            if boot_id:
                # The boot that goes on now is not the next one.
                commands.append(("HSETNX", branch, f"{invocation.invoke_id}:boot", boot_id))
            commands.append(("HSET", branch, invocation.invoke_id, written[instance_id]))
        redis.pipeline_or_raise(commands)
        # Whoever gave an instance another key meanwhile, as a rotation does, may not have seen what it was given here.
        while changed := _changed(redis, held):
            fresh = made(changed)
            run_all(redis, [_replacement(one, invocation, written[one], entry) for one, entry in fresh.items()])
            held.update(changed)
            written.update(fresh)


def _envelope(invocation: Invocation, order_digest: str, created_ms: int) -> bytes:
    is_once = invocation.schedule.repeat_mode == RepeatMode.NEXT_REBOOT_ONLY
    return encode(
        Envelope(
            invoke_id=invocation.invoke_id,
            firing_ms=NEXT_BOOT_FIRING_MS if is_once else BOOT_FIRING_MS,
            attempt=1,
            digest=order_digest,
            payload_token=invocation.payload_token,
            created_ms=created_ms,
            expires_ms=NEVER_MS,
            nonce=secrets.token_hex(12),
        )
    )


def _replacement(instance_id: str, invocation: Invocation, seen: bytes, entry: bytes) -> Command:
    return replace_entry_command(keys.boot_bound(instance_id), invocation.invoke_id, seen, entry)


def _changed(redis: Redis, held: Mapping[str, str]) -> dict[str, str]:
    """Which instances hold another key by now, and which."""
    found = zip(held.items(), key_ids(redis, list(held)), strict=True)
    return {one: key_id for (one, before), key_id in found if key_id != before}


def unbind(redis: Redis, invoke_id: str, targets: Sequence[str], *, forget: bool = False) -> None:
    """Take an invocation away from its instances; ``forget`` removes even what was not noted yet."""
    fields = [invoke_id, *((f"{invoke_id}:{one}" for one in ("boot", "fired", "count")) if forget else ())]
    for chunk in chunks(targets, _CHUNK_COUNT):
        redis.pipeline_or_raise([("HDEL", keys.boot_bound(one), *fields) for one in chunk])


def is_boot_bound(envelope: Envelope) -> bool:
    """Tell whether an envelope was made for the start of a machine, and not for an ordinary execution."""
    return envelope.firing_ms in (BOOT_FIRING_MS, NEXT_BOOT_FIRING_MS)
