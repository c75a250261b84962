"""Tags on things that exist already: commands, invocations, instances."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from ...broker_config import keys
from ...broker_config.errors import NotFound, Refused
from ...broker_config.functions.function_library import fcall, run
from ...broker_config.records import Invocation, decode_command, decode_invocation
from ...broker_config.redis.client import Redis
from ...broker_config.unreadable import read_or_tell, readable
from .. import validation
from ..commands import command_library
from . import instances, targets
from .activations import Activation, decode_activation

#: Invocations and activations searched for tags, newest first: theirs have no index, which would outlive them.
SEARCHED_COUNT = 1_000
_SEARCHED: Mapping[str, str] = {"invocation": keys.INVOCATIONS, "activation": keys.ACTIVATIONS}

Change = Callable[[Mapping[str, str]], dict[str, str]]
Tags = dict[str, str]


def check_type(kind: str) -> str:
    """Recognise a type of resource.

    Raises:
        NotFound: nothing of this type can be tagged here (``InvalidResourceType.NotFound``).
    """
    if kind not in _KINDS:
        raise NotFound(
            f"there is no resource type {kind[:40]!r}; use {', '.join(_KINDS)}", code="InvalidResourceType.NotFound"
        )
    return kind


def tags_of(redis: Redis, kind: str, ids: Sequence[str]) -> list[Tags | None]:
    """Read the tags of things; ``None`` for one that does not exist."""
    return _KINDS[check_type(kind)][0](redis, ids)


def change(redis: Redis, kind: str, ids: Sequence[str], to: Change) -> None:
    """Replace the tags of things by what ``to`` makes of them; nothing is changed when one does not exist.

    Raises:
        NotFound: one does not exist (``InvalidResourceId.NotFound``).
        Refused: one would have too many tags, or is of another type.
    """
    check_type(kind)
    if kind == "managedinstance":
        for one in ids:
            if one.startswith("i-"):
                raise Refused(f"{one} is not a managed instance; use ResourceType=instance", code=_NOT_SUPPORTED)

    def within_quota(one: str, before: Mapping[str, str]) -> dict[str, str]:
        after = to(before)
        if len(after) > validation.TAGS_COUNT:
            raise Refused(
                f"{one} would have {len(after)} tags; at most {validation.TAGS_COUNT}", code="QuotaExceed.Tags"
            )
        return after

    for one, before in zip(ids, tags_of(redis, kind, ids), strict=True):
        if before is None:
            raise NotFound(f"there is no {kind} {one}", code="InvalidResourceId.NotFound")
        within_quota(one, before)
    for one in ids:
        _KINDS[kind][1](redis, one, partial(within_quota, one))


def tagged_ids(redis: Redis, kind: str, wanted: Mapping[str, Sequence[str] | None]) -> list[str]:
    """Ids of one type that carry every wanted key with one of its values (``None``: any value), sorted."""
    searched = _SEARCHED.get(check_type(kind))
    if searched is not None:
        recent = [one.decode() for one in redis.call("ZREVRANGE", searched, 0, SEARCHED_COUNT - 1)]
        found = zip(recent, tags_of(redis, kind, recent), strict=True)
        return sorted(one for one, tags in found if tags is not None and _carries(tags, wanted))
    index_kind = command_library.KIND if kind == "command" else instances.KIND
    ids = targets.tagged(redis, index_kind, dict.fromkeys(wanted))
    pairs = zip(ids, tags_of(redis, kind, ids), strict=True)
    return [one for one, tags in pairs if tags is not None and _carries(tags, wanted)]


def _carries(tags: Mapping[str, str], wanted: Mapping[str, Sequence[str] | None]) -> bool:
    return all(key in tags and (values is None or tags[key] in values) for key, values in wanted.items())


def _read_tags(records: Sequence[bytes | None], tags_in: Callable[[bytes], Tags]) -> list[Tags | None]:
    """The tags in each record; those that cannot be read have none that anybody could know."""
    return readable(read_or_tell("it", "", tags_in, one) if one else None for one in records)


def _instance_tags(redis: Redis, ids: Sequence[str]) -> list[Tags | None]:
    replies = redis.pipeline_or_raise([("HMGET", keys.profile(one), "registered_ms", "tags") for one in ids])
    return _read_tags([tags or (known and b"{}") for known, tags in replies], instances.decode_tags)


def _managed_instance_tags(redis: Redis, ids: Sequence[str]) -> list[Tags | None]:
    return [tags if one.startswith("mi-") else None for one, tags in zip(ids, _instance_tags(redis, ids), strict=True)]


def _change_instance(redis: Redis, instance_id: str, to: Change) -> None:
    if not instances.change_tags(redis, instance_id, to):
        raise _gone(instance_id)


def _command_tags(redis: Redis, ids: Sequence[str]) -> list[Tags | None]:
    replies = redis.pipeline_or_raise([("HGET", keys.command(one), "record") for one in ids])
    return _read_tags(replies, lambda record: decode_command(record).tags)


def _change_command(redis: Redis, command_id: str, to: Change) -> None:
    if not command_library.change_tags(redis, command_id, to):
        raise _gone(command_id)


def _invocation_tags(redis: Redis, ids: Sequence[str]) -> list[Tags | None]:
    replies = redis.pipeline_or_raise([("HGET", keys.invocation(one), "record") for one in ids])
    return _read_tags(replies, lambda record: decode_invocation(record).tags)


def _change_invocation(redis: Redis, invoke_id: str, to: Change) -> None:
    _replace(redis, keys.invocation(invoke_id), decode_invocation, to)


def _activation_tags(redis: Redis, ids: Sequence[str]) -> list[Tags | None]:
    replies = redis.pipeline_or_raise([("HGET", keys.activation(one), "record") for one in ids])
    return _read_tags(replies, lambda record: decode_activation(record).tags)


def _change_activation(redis: Redis, activation_id: str, to: Change) -> None:
    _replace(redis, keys.activation(activation_id), decode_activation, to)


def _replace(redis: Redis, key: str, decode: Callable[[bytes], Invocation | Activation], to: Change) -> None:
    """Change the tags in a record that nobody else changed meanwhile; no index knows them."""
    while True:
        seen = redis.call("HGET", key, "record")
        if seen is None:
            raise _gone(key.rpartition(":")[2])
        record = decode(seen)
        # The function replaces any record that is still the one that was read.
        changed = msgspec.json.encode(msgspec.structs.replace(record, tags=to(record.tags)))
        if run(redis, fcall("ca_modify_command", [key], [seen, changed])) == b"ok":
            return


def _gone(resource_id: str) -> NotFound:
    return NotFound(f"{resource_id} is gone since", code="InvalidResourceId.NotFound")


_NOT_SUPPORTED = "InvalidResourceId.NotSupported"
_Read = Callable[[Redis, Sequence[str]], list[Tags | None]]
_Write = Callable[[Redis, str, Change], None]
_KINDS: Mapping[str, tuple[_Read, _Write]] = {
    "command": (_command_tags, _change_command),
    "invocation": (_invocation_tags, _change_invocation),
    "activation": (_activation_tags, _change_activation),
    "instance": (_instance_tags, _change_instance),
    "managedinstance": (_managed_instance_tags, _change_instance),
}
