"""Store the roll-up of an invocation once all of its executions are final."""

import msgspec

from .clock import now_ms
from .functions.function_library import run
from .functions.invocations import settle_invocation_command
from .ledger import InvocationStatus, StoredInvocation, is_final_invocation
from .redis_client import Redis


def settle(redis: Redis, stored: StoredInvocation, status: InvocationStatus) -> None:
    """Take a finished invocation out of the unfinished ones; repeated calls change nothing.

    The roll-up is stored only when no result in it may still be replaced by a late truth.
    """
    if stored.settled is not None or stored.active or not is_final_invocation(status.state):
        return
    if stored.finished_ms and status.unknown_count:
        return
    run(
        redis,
        settle_invocation_command(
            stored.record.invoke_id,
            stored.record.command.command_id,
            msgspec.json.encode(status.counts),
            finished_ms=stored.finished_ms or now_ms(),
            frozen=not status.unknown_count,
        ),
    )
