"""Attach tags to things and take them off. The index of tags is what targeting and filters read."""

from collections.abc import Mapping, Sequence

from ..broker_config import keys
from ..broker_config.redis_client import Redis
from ..broker_config.redis_connection import Command


def attach_commands(kind: str, item_id: str, tags: Mapping[str, str]) -> list[Command]:
    """Build the commands that enter an item under its tags."""
    commands: list[Command] = []
    for key, value in tags.items():
        commands.append(("SADD", keys.tag(kind, key, value), item_id))
        commands.append(("SADD", keys.tag_key(kind, key), item_id))
    return commands


def detach_commands(kind: str, item_id: str, tags: Mapping[str, str]) -> list[Command]:
    """Build the commands that remove an item from under tags it had."""
    commands: list[Command] = []
    for key, value in tags.items():
        commands.append(("SREM", keys.tag(kind, key, value), item_id))
        commands.append(("SREM", keys.tag_key(kind, key), item_id))
    return commands


def replace(redis: Redis, kind: str, item_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Bring the index of one item from its old tags to its new ones."""
    gone = {key: value for key, value in before.items() if after.get(key) != value}
    new = {key: value for key, value in after.items() if before.get(key) != value}
    commands: Sequence[Command] = [*detach_commands(kind, item_id, gone), *attach_commands(kind, item_id, new)]
    if commands:
        redis.pipeline_or_raise(commands)
