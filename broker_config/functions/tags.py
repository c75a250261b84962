"""Typed call that replaces the tags of a thing together with its places in the index of tags."""

from collections.abc import Sequence

from ..redis_client import Redis
from ..redis_connection import Argument
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
