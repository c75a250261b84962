"""Which instances have an agent that is connected at this moment."""

from collections.abc import Sequence

from ...broker_config import keys
from ...broker_config.redis.client import Redis


def part_by_connection(redis: Redis, instance_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split instances into those to ask and those that are registered but not connected, each in their order.

    One that is not registered at all is asked too: only so is the caller told that nobody knows it.
    """
    replies = redis.pipeline_or_raise(
        [command for one in instance_ids for command in (("EXISTS", keys.info(one)), ("EXISTS", keys.profile(one)))]
    )
    asked: list[str] = []
    absent: list[str] = []
    for one, is_connected, is_registered in zip(instance_ids, replies[::2], replies[1::2], strict=True):
        (absent if is_registered and not is_connected else asked).append(one)
    return asked, absent
