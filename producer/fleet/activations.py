"""Activations: codes with which a number of machines may register themselves for some hours."""

import hashlib
import ipaddress
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...broker_config import keys
from ...broker_config.clock import iso_seconds
from ...broker_config.errors import NotFound, RecordUnreadable, Refused, RequestInvalid
from ...broker_config.functions.activations import create_activation, delete_activation
from ...broker_config.functions.function_library import run_apart
from ...broker_config.functions.tags import set_field
from ...broker_config.programs.counted import counted
from ...broker_config.redis.client import Redis
from ...broker_config.security.signing import MasterKeys
from ...broker_config.timed.timed_invocation import server_ms
from ...broker_config.unreadable import raised, read_or_tell, whole
from .. import validation
from ..matching import has_tags, like
from ..paging import Page, PageRequest, page_of_list, read_page
from ..shapes import Shape, tag_list

ACTIVATIONS_COUNT = 5_000
INSTANCES_COUNT_MAX = 1_000
#: The service's own limit; ``limits.activation_hours_max`` may allow more.
HOURS_MAX = 4
DESCRIPTION_CHARACTERS = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._:-]*")
_NAME_CHARACTERS = (2, 50)
_HOUR_MS = 3_600_000
_FORGOTTEN_COUNT = 100


class Activation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for when the code was made; of the code only a digest is kept."""

    activation_id: str
    code_digest: str
    created_ms: int
    instance_name: str = ""
    instance_count: int = 10
    hours: int = HOURS_MAX
    address_range: str = ""
    description: str = ""
    resource_group_id: str = ""
    tags: dict[str, str] = {}
    #: Made with the master key; whoever can write to Redis cannot make an activation of their own.
    seal: str = ""

    @property
    def ends_ms(self) -> int:
        """When the code ceases to be valid."""
        return self.created_ms + self.hours * _HOUR_MS


class StoredActivation(msgspec.Struct, frozen=True, kw_only=True):
    """An activation with what became of it."""

    activation: Activation
    disabled: bool
    registered_count: int
    deregistered_count: int


class ActivationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which activations are wanted; empty fields do not filter."""

    activation_id: str = ""
    instance_name: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str | None] = {}


_PURPOSE = "activation"
_decoder = msgspec.json.Decoder(Activation)
_FIELDS = ("record", "disabled", "registered_count", "deregistered_count")


def create(
    redis: Redis,
    master: MasterKeys | None,
    *,
    instance_name: str = "",
    instance_count: int = 10,
    hours: int = HOURS_MAX,
    address_range: str = "",
    description: str = "",
    resource_group_id: str = "",
    tags: Mapping[str, str] | None = None,
    hours_max: int = HOURS_MAX,
) -> tuple[str, str]:
    """Make an activation and answer its id and code; the code is shown this once.

    Raises:
        RequestInvalid: with the API's code for what is wrong.
    """
    if not 1 <= instance_count <= INSTANCES_COUNT_MAX:
        raise RequestInvalid(
            f"1 to {INSTANCES_COUNT_MAX} machines may register with one activation, not {instance_count}",
            code="ActivationLimitation.Invalid",
        )
    if not 1 <= hours <= hours_max:
        raise RequestInvalid(
            f"an activation is good for 1 to {hours_max} hours (limits.activation_hours_max), not {hours}",
            code="ActivationTTL.ExceedLimit",
        )
    validation.short_enough(
        description, "description", DESCRIPTION_CHARACTERS, "ActivationDesc.ExceedLimit", RequestInvalid
    )
    validation.printable_lines(description, "description", "InvalidParameter.Description")
    code = f"a-{secrets.token_urlsafe(24)}"
    activation = Activation(
        activation_id=str(uuid.uuid4()).upper(),
        code_digest=code_digest(code),
        # By the clock that its hours are judged by.
        created_ms=server_ms(redis),
        instance_name=_checked_name(instance_name),
        instance_count=instance_count,
        hours=hours,
        address_range=_checked_range(address_range),
        description=description,
        resource_group_id=validation.resource_group_id(resource_group_id),
        tags=validation.tags(tags or {}),
    )
    _store(redis, sealed(activation, master))
    return activation.activation_id, code


def _store(redis: Redis, activation: Activation) -> None:
    activation_id, record = activation.activation_id, msgspec.json.encode(activation)
    while create_activation(redis, activation_id, record, activation.created_ms, ACTIVATIONS_COUNT) == "full":
        if not _forget_ended(redis):
            raise RequestInvalid(
                f"there are {ACTIVATIONS_COUNT} activations already", code="ActivationCount.ExceedLimit"
            )


def sealed(activation: Activation, master: MasterKeys | None) -> Activation:
    """Seal an activation as it is now; without a master key it stays unsealed, and lets nobody in."""
    seal = "" if master is None else master.seal(_PURPOSE, _covered(activation))
    return msgspec.structs.replace(activation, seal=seal)


def is_trusted(activation_id: str, activation: Activation, master: MasterKeys) -> bool:
    """Tell whether what was found under an id is what was made there with the master key, tags apart."""
    is_own = activation.activation_id == activation_id
    return is_own and master.is_sealed(_PURPOSE, _covered(activation), activation.seal)


def _covered(activation: Activation) -> bytes:
    # Tags change later, without the key.
    return msgspec.json.encode(msgspec.structs.replace(activation, seal="", tags={}))


def describe(redis: Redis, wanted: ActivationFilter, page: PageRequest) -> Page[StoredActivation]:
    """List activations, newest first."""
    if wanted.activation_id:
        one = raised(_load_all(redis, [wanted.activation_id])[0])
        return page_of_list([one] if one is not None and _matches(one, wanted) else [], page, repr(wanted))
    return read_page(
        redis,
        keys.ACTIVATIONS,
        page,
        lambda ids: _load_all(redis, ids),
        keep=(lambda one: _matches(one, wanted)) if wanted != ActivationFilter() else None,
        filters=repr(wanted),
    )


def disable(redis: Redis, activation_id: str) -> StoredActivation:
    """Let no more machines register with it.

    Raises:
        NotFound: there is none.
    """
    load(redis, activation_id)
    set_field(redis, keys.activation(activation_id), "disabled", b"1", item_id=activation_id)
    return load(redis, activation_id)


def delete(redis: Redis, activation_id: str) -> StoredActivation | None:
    """Delete an activation with which no machine has registered, or one that cannot be read, answered with ``None``.

    Raises:
        NotFound: there is none.
        Refused: one has (``ActivationId.InUse``).
    """
    stored = _load_all(redis, [activation_id])[0]
    if isinstance(stored, RecordUnreadable):
        # Nobody registers with it any more, whoever has.
        _forget(redis, [activation_id])
        return None
    word = "unknown" if stored is None else delete_activation(redis, activation_id)
    if stored is None or word == "unknown":
        raise _unknown(activation_id)
    if word == "in_use":
        count = load(redis, activation_id).registered_count
        raise Refused(
            f"{counted(count, 'instance is', 'instances are')} registered with {activation_id}; disable it instead",
            code="ActivationId.InUse",
        )
    return stored


def end_use(redis: Redis, activation_id: str, machine: str, instance_id: str) -> None:
    """Let no machine prove any more that an instance is its own: an operator has given it other credentials.

    Its use stays taken. Whoever has the machine's secret and the code is told that the machine is known.
    """
    use = _use_of(redis, activation_id, machine)
    if use[1:2] == [instance_id.encode()]:
        # No digest is a dash, so no proof is this one.
        redis.call("HSET", keys.activation_machines(activation_id), machine, b" ".join([b"-", *use[1:]]))


def has_use(redis: Redis, activation_id: str, machine: str, proof: str, instance_id: str) -> bool:
    """Tell whether this instance is a machine's, proved by this."""
    return _use_of(redis, activation_id, machine)[:2] == [proof.encode(), instance_id.encode()]


def has_no_use(redis: Redis, activation_id: str, machine: str) -> bool:
    """Tell whether a machine has no use: its instance was let go, or nobody can register with the activation."""
    return not _use_of(redis, activation_id, machine)


def _use_of(redis: Redis, activation_id: str, machine: str) -> list[bytes]:
    found = redis.call("HGET", keys.activation_machines(activation_id), machine)
    return bytes(found).split(b" ") if found else []


def load(redis: Redis, activation_id: str) -> StoredActivation:
    """Read one activation.

    Raises:
        NotFound: there is none (``ActivationId.NotFound``). RecordUnreadable: it cannot be read.
    """
    found = raised(_load_all(redis, [activation_id])[0])
    if found is None:
        raise _unknown(activation_id)
    return found


def _unknown(activation_id: str) -> NotFound:
    return NotFound(
        f"there is no activation {activation_id[:40]!r}; `assist activation list` shows them",
        code="ActivationId.NotFound",
    )


def decode_activation(record: bytes) -> Activation:
    """Read an activation's record."""
    return _decoder.decode(record)


def shape_of(stored: StoredActivation) -> Shape:
    """One activation in the API's names; its tags are a flat list."""
    one = stored.activation
    return {
        "ActivationId": one.activation_id,
        "CreationTime": iso_seconds(one.created_ms),
        "Description": one.description,
        "InstanceName": one.instance_name,
        "InstanceCount": one.instance_count,
        "RegisteredCount": stored.registered_count,
        "DeregisteredCount": stored.deregistered_count,
        "TimeToLiveInHours": one.hours,
        "IpAddressRange": one.address_range,
        "Disabled": stored.disabled,
        "ResourceGroupId": one.resource_group_id,
        "Tags": tag_list(one.tags),
    }


def code_digest(code: str) -> str:
    """What is kept of a code: it is long and random, so a plain digest tells nothing of it."""
    return hashlib.sha256(code.encode()).hexdigest()


def _forget_ended(redis: Redis) -> bool:
    """Make room: forget the oldest activations that nobody can use any more; false when there are none."""
    oldest = [one.decode() for one in redis.call("ZRANGE", keys.ACTIVATIONS, 0, _FORGOTTEN_COUNT - 1)]
    now = server_ms(redis)
    ended = [
        one
        for one, stored in zip(oldest, _load_all(redis, oldest), strict=True)
        if stored is None or (isinstance(stored, StoredActivation) and stored.activation.ends_ms <= now)
    ]
    if ended:
        _forget(redis, ended)
    return bool(ended)


def _forget(redis: Redis, activation_ids: Sequence[str]) -> None:
    names = [name for one in activation_ids for name in (keys.activation(one), keys.activation_machines(one))]
    redis.pipeline_or_raise([("DEL", *names), ("ZREM", keys.ACTIVATIONS, *activation_ids)])


def _load_all(redis: Redis, ids: Sequence[str]) -> list[StoredActivation | RecordUnreadable | None]:
    replies = run_apart(redis, [("HMGET", keys.activation(one), *_FIELDS) for one in ids])
    return [
        read_or_tell(f"the activation {one}", f"Delete it: assist activation delete {one}", _stored, reply)
        for one, reply in zip(ids, replies, strict=True)
    ]


def _stored(reply: Any) -> StoredActivation | None:
    record, disabled, registered, deregistered = whole(reply)
    if not record:
        return None
    return StoredActivation(
        activation=decode_activation(record),
        disabled=bool(disabled),
        registered_count=int(registered or 0),
        deregistered_count=int(deregistered or 0),
    )


def _matches(stored: StoredActivation, wanted: ActivationFilter) -> bool:
    one = stored.activation
    return (
        like(one.instance_name, wanted.instance_name)
        and wanted.resource_group_id in ("", one.resource_group_id)
        and has_tags(one.tags, wanted.tags)
    )


def _checked_name(name: str) -> str:
    if not name:
        return name
    if not _NAME_CHARACTERS[0] <= len(name) <= _NAME_CHARACTERS[1]:
        raise RequestInvalid(f"the name has {counted(len(name), 'character')}", code="InstanceName.ExceedLimit")
    check_name(name)
    return name


def check_name(name: str) -> None:
    """Refuse a name that an instance cannot have.

    Raises:
        RequestInvalid: ``InstanceName.InvalidPattern``.
    """
    if not _NAME.fullmatch(name) or name.lower().startswith(("http:", "https:")):
        raise RequestInvalid(f"{name[:60]!r} cannot be the name of an instance", code="InstanceName.InvalidPattern")


def _checked_range(text: str) -> str:
    if text:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError as exc:
            raise RequestInvalid(
                f"{text[:60]!r} is not a range of addresses; write 10.0.0.0/8, or 10.0.0.5 for one",
                code="AddressRange.InvalidPattern",
            ) from exc
    return text
