"""Store the roll-up of an invocation once all of its executions are final."""

from collections.abc import Sequence

import msgspec

from .clock import now_ms, server_time_ms
from .functions.function_library import run
from .functions.invocations import settle_invocation_command
from .ledger import InvocationStatus, StoredInvocation, fold, is_final_invocation, load_invocation, status_of
from .redis.client import Redis
from .redis.connection import Command
from .states import OUTCOMES

#: An end that says that no agent took the execution is taken for the last word after this long.
_NOT_TAKEN_MS = 3_600_000


def settle(redis: Redis, stored: StoredInvocation, status: InvocationStatus) -> None:
    """Take a finished invocation out of the unfinished ones; repeated calls change nothing.

    The roll-up is stored only when no result in it may still be replaced by a late truth; until then each reader counts
    the rows.
    """
    if stored.settled is not None or stored.active or not is_final_invocation(status.state):
        return
    may_change = bool(status.unknown_count or (status.not_taken_count and _is_young(redis, stored)))
    if stored.finished_ms and may_change:
        return
    run(
        redis,
        settle_invocation_command(
            stored.record.invoke_id,
            stored.record.command.command_id,
            msgspec.json.encode(status.counts),
            frozen=not may_change,
        ),
    )


def _is_young(redis: Redis, stored: StoredInvocation) -> bool:
    ends_ms = stored.finished_ms + _NOT_TAKEN_MS
    # Ours may be ahead, and what is stored is so for good: Redis, which said when it was finished, has the last word.
    # It is not asked each time, for a list may hold a hundred of these.
    return not stored.finished_ms or now_ms() < ends_ms or server_time_ms(redis.call("TIME")) < ends_ms


def settle_if_over(redis: Redis, invoke_id: str) -> None:
    """Look at an invocation that counts as unfinished, and settle it if it has ended meanwhile.

    Raises:
        NotFound: no such invocation.
    """
    stored = load_invocation(redis, invoke_id)
    settle(redis, stored, status_of(redis, stored))


def settle_as_announced(
    stored: StoredInvocation, ended: Sequence[tuple[str, str]], announced: Sequence[tuple[str, str, str]]
) -> tuple[InvocationStatus, Command] | None:
    """Build the storing of a one-off's roll-up that is to be sent along with the reading of its last rows.

    ``ended`` are (state, error code) of the rows read before, ``announced`` (instance id, execution id, state) of those
    being read: when they are in other states Redis stores nothing. ``None`` where the states alone do not say enough.
    """
    if stored.timed:
        return None
    # Only ``Aborted`` may still be replaced by a late truth, and its reason says whether.
    if not all(state in OUTCOMES for _, _, state in announced):
        return None
    status = fold([*ended, *((state, "") for _, _, state in announced)])
    if status.unknown_count or status.not_taken_count:
        return None
    command = settle_invocation_command(
        stored.record.invoke_id,
        stored.record.command.command_id,
        msgspec.json.encode(status.counts),
        frozen=True,
        announced=announced,
    )
    return status, command
