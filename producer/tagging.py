"""Attach tags to things and take them off. The index of tags is what targeting and filters read."""

from collections.abc import Callable, Mapping, Sequence

from ..broker_config import keys
from ..broker_config.functions.tags import replace_tags
from ..broker_config.redis_client import Redis
from ..broker_config.redis_connection import Command

Tags = Mapping[str, str]


def replace(redis: Redis, kind: str, item_id: str, before: Tags, after: Tags) -> None:
    """Bring the index of one item, which nobody else has in hand, from its old tags to its new ones."""
    left, joined = _moved(kind, before, after)
    commands: list[Command] = [("SREM", one, item_id) for one in left]
    commands += [("SADD", one, item_id) for one in joined]
    if commands:
        redis.pipeline_or_raise(commands)


def change(
    redis: Redis,
    kind: str,
    item_id: str,
    place: tuple[str, str],
    to: Callable[[Tags], Tags],
    *,
    tags_in: Callable[[bytes | None], Tags | None],
    with_tags: Callable[[bytes | None, Tags], bytes],
) -> bool:
    """Change the tags that a field of a hash holds (``place``) and the index in one step, so that no change is lost.

    Answers whether the thing is there.
    """
    key, field = place
    while True:
        seen = redis.call("HGET", key, field)
        before = tags_in(seen)
        if before is None:
            return False
        after = to(before)
        left, joined = _moved(kind, before, after)
        word = replace_tags(redis, key, field, seen, with_tags(seen, after), item_id=item_id, left=left, joined=joined)
        if word == "unknown":
            return False
        if word == "ok":
            return True


def _moved(kind: str, before: Tags, after: Tags) -> tuple[Sequence[str], Sequence[str]]:
    """The sets of the index that an item leaves and those that it joins."""
    gone = {key: value for key, value in before.items() if after.get(key) != value}
    new = {key: value for key, value in after.items() if before.get(key) != value}
    return _sets(kind, gone), _sets(kind, new)


def _sets(kind: str, tags: Tags) -> list[str]:
    return [name for key, value in tags.items() for name in (keys.tag(kind, key, value), keys.tag_key(kind, key))]
