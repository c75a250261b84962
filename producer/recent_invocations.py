"""Invocations that this process made a moment ago, so that waiting for one needs no look-up of it first."""

from collections.abc import Sequence

import msgspec

from ..broker_config.ledger import StoredInvocation, load_invocation
from ..broker_config.redis_client import Redis

_MOST_COUNT = 256
#: Of an invocation with more targets they are read again: a hundred large ones would fill the memory.
_MOST_TARGETS_COUNT = 100


class Recent(msgspec.Struct, frozen=True):
    """An invocation, and its targets in their order where this process knows them; empty when they have to be read."""

    stored: StoredInvocation
    targets: Sequence[str] = ()


class RecentInvocations:
    """The last few invocations of this process. Safe to share between threads."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._made: dict[str, Recent] = {}

    def remember(self, stored: StoredInvocation, targets: Sequence[str]) -> None:
        """Keep an invocation that was just made; a timed one changes and is not kept."""
        if stored.timed:
            return
        few = targets if len(targets) <= _MOST_TARGETS_COUNT else ()
        self._made[stored.record.invoke_id] = Recent(stored, few)
        if len(self._made) > _MOST_COUNT:
            self._made.pop(next(iter(self._made)), None)

    def forget(self, invoke_id: str) -> None:
        """Let go of one that has ended."""
        self._made.pop(invoke_id, None)

    def find(self, invoke_id: str) -> Recent:
        """Return an invocation, remembered or read.

        Raises:
            NotFound: no such invocation.
        """
        return self._made.get(invoke_id) or Recent(load_invocation(self._redis, invoke_id))
