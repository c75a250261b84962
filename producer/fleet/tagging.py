"""Attach tags to things and take them off. The index of tags is what targeting and filters read."""

from collections.abc import Callable, Mapping

from ...broker_config import keys
from ...broker_config.functions.tags import replace_tags
from ...broker_config.redis.client import Redis

Tags = Mapping[str, str]


def forget(redis: Redis, kind: str, item_id: str, tags: Tags) -> None:
    """Take an item that is gone, and that nobody can give tags any more, off the index."""
    redis.pipeline_or_raise([("SREM", one, item_id) for one in _sets(kind, tags)])


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

    The index has all of them afterwards, whatever was left half done before. Answers whether the thing is there.
    """
    key, field = place
    while True:
        seen = redis.call("HGET", key, field)
        before = tags_in(seen)
        if before is None:
            return False
        after = to(before)
        left = _sets(kind, {key: value for key, value in before.items() if after.get(key) != value})
        joined = _sets(kind, after)
        word = replace_tags(redis, key, field, seen, with_tags(seen, after), item_id=item_id, left=left, joined=joined)
        if word == "unknown":
            return False
        if word == "ok":
            return True


def _sets(kind: str, tags: Tags) -> list[str]:
    return [name for key, value in tags.items() for name in (keys.tag(kind, key, value), keys.tag_key(kind, key))]
