"""Store the roll-up of an invocation once all of its executions are final."""

import msgspec

from .clock import now_ms
from .functions.function_library import run
from .functions.invocations import settle_invocation_command
from .ledger import InvocationStatus, StoredInvocation, is_final_invocation
from .redis_client import Redis

#: An end that says that no agent took the execution is taken for the last word after so long.
_NOT_TAKEN_MS = 3_600_000


def settle(redis: Redis, stored: StoredInvocation, status: InvocationStatus) -> None:
    """Take a finished invocation out of the unfinished ones; repeated calls change nothing.

    The roll-up is stored only when no result in it may still be replaced by a late truth; until then each reader counts
    the rows.
    """
    if stored.settled is not None or stored.active or not is_final_invocation(status.state):
        return
    is_young = not stored.finished_ms or now_ms() < stored.finished_ms + _NOT_TAKEN_MS
    may_change = bool(status.unknown_count or (status.not_taken_count and is_young))
    if stored.finished_ms and may_change:
        return
    run(
        redis,
        settle_invocation_command(
            stored.record.invoke_id,
            stored.record.command.command_id,
            msgspec.json.encode(status.counts),
            finished_ms=stored.finished_ms or now_ms(),
            frozen=not may_change,
        ),
    )
