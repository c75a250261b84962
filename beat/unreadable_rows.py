"""Leave executions alone whose rows an agent has made unreadable: those of others go on all the same.

So they do beside what stands in an index and names no execution.
"""

from collections.abc import Sequence

from ..broker_config.ids import split_execution_id
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.timed.timed_invocation import server_ms

#: What cannot be worked on as its row stands is left alone for this long.
_UNREADABLE_MS = 600_000

_log = logger("beat")


def put_off(redis: Redis, index: str, unreadable: Sequence[tuple[str, str, Exception]], *, what_for: str) -> None:
    """Move (instance id, execution id, what is wrong) back in the index that they are due in, and say so.

    ``what_for`` is what could not be done with them, as in "let an execution go".
    """
    if not unreadable:
        return
    at_ms = server_ms(redis) + _UNREADABLE_MS
    for instance_id, execution_id, why in unreadable:
        _log.error(
            "cannot %s: its row is not what a ledger holds; is the instance in the hands of somebody else? "
            "(assist instance quarantine %s) execution=%s: %s",
            what_for,
            instance_id,
            execution_id,
            why,
        )
    scores = [part for _, execution_id, _ in unreadable for part in (at_ms, execution_id)]
    redis.call("ZADD", index, "XX", *scores)


def executions_named(redis: Redis, index: str, found: Sequence[bytes]) -> list[tuple[str, str, tuple[str, int]]]:
    """The executions that an index names: (instance id, execution id, (invocation id, firing ms)).

    What names none is removed, and told: nothing would ever move it from the index's head.
    """
    named = []
    strangers = []
    for name in found:
        text = name.decode("utf-8", "replace")
        if parts := split_execution_id(text):
            named.append((parts[2], text, parts[:2]))
        else:
            strangers.append(name)
    remove_strangers(redis, index, strangers)
    return named


def remove_strangers(redis: Redis, index: str, strangers: Sequence[bytes]) -> None:
    """Remove from an index what no program of ours has put there, and say so."""
    for name in strangers:
        _log.warning("removed from %s what does not belong there: %.80r", index, name)
    if strangers:
        redis.call("ZREM", index, *strangers)
