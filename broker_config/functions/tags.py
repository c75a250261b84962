"""Typed call that replaces the tags of a thing together with its places in the index of tags."""

from collections.abc import Sequence

from ..redis.client import Redis
from ..redis.connection import Argument
from .function_library import fcall, run


def replace_tags(
    redis: Redis,
    key: str,
    field: str,
    seen: bytes | None,
    new: bytes,
    *,
    item_id: str,
    left: Sequence[str],
    joined: Sequence[str],
) -> str:
    """Write a field that is still as it was read, and move the item; answers ``ok``, ``unknown`` or ``changed``."""
    arguments: list[Argument] = [field, seen or b"", new, item_id, len(left)]
    reply: bytes = run(redis, fcall("ca_replace_tags", [key, *left, *joined], arguments))
    return reply.decode()


def set_field(redis: Redis, key: str, field: str, value: bytes, *, item_id: str) -> None:
    """Set a field of a thing that is there; one that is deleted meanwhile stays so."""
    word = "changed"
    while word == "changed":
        # Without sets of the index, it compares and sets any field.
        seen = redis.call("HGET", key, field)
        word = replace_tags(redis, key, field, seen, value, item_id=item_id, left=(), joined=())
