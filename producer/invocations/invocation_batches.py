"""What several invocations of a listing need from the ledger, read together instead of one after the other."""

from collections.abc import Iterator, Sequence

from ...broker_config.ledger import (
    InvocationStatus,
    StoredInvocation,
    execution_states_of_each,
    fold,
    load_targets_of_each,
    status_without_rows,
)
from ...broker_config.redis.client import Redis

#: Invocations are read together up to this many targets; a larger one is read alone.
_TOGETHER_COUNT = 1_000


def batches(found: Sequence[StoredInvocation]) -> Iterator[list[StoredInvocation]]:
    """Cut a list into parts that are small enough to be read in one go."""
    batch: list[StoredInvocation] = []
    target_count = 0
    for one in found:
        target_count += one.record.target_count
        if batch and target_count > _TOGETHER_COUNT:
            yield batch
            batch, target_count = [], one.record.target_count
        batch.append(one)
    if batch:
        yield batch


class ListedTargets:
    """The targets of the invocations of one listing; those of the last ones are remembered, small ones only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: dict[str, list[str]] = {}

    def forget(self) -> None:
        """Let go of what is remembered: another part of the list comes."""
        self._known.clear()

    def of_each(self, batch: Sequence[StoredInvocation]) -> list[list[str]]:
        """The targets of each, in their order."""
        ids = [one.record.invoke_id for one in batch]
        missing = [one for one in dict.fromkeys(ids) if one not in self._known]
        read = dict(zip(missing, load_targets_of_each(self._redis, missing), strict=True))
        if sum(map(len, read.values())) <= _TOGETHER_COUNT:
            self._known.update(read)
        return [read[one] if one in read else self._known[one] for one in ids]


def statuses_of(redis: Redis, found: Sequence[StoredInvocation], targets: ListedTargets) -> list[InvocationStatus]:
    """Roll each invocation up: from what was stored when it was settled, else from the rows."""
    known = [status_without_rows(one) for one in found]
    unknown = [one for one, status in zip(found, known, strict=True) if status is None]
    counted: list[InvocationStatus] = []
    for batch in batches(unknown):
        states = execution_states_of_each(redis, list(zip(batch, targets.of_each(batch), strict=True)))
        counted += [fold(read, active=one.active) for one, read in zip(batch, states, strict=True)]
    following = iter(counted)
    return [status or next(following) for status in known]
