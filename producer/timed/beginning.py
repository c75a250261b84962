"""Let a stored timed invocation begin: enter it where beats, or its instances, find it."""

from collections.abc import Mapping, Sequence

from ...broker_config.errors import RequestInvalid
from ...broker_config.functions.function_library import run
from ...broker_config.functions.timed import begin_timed_command
from ...broker_config.messages import Order, encode
from ...broker_config.records import Invocation, RepeatMode
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Argument
from ...broker_config.schedule import DueTime
from ...broker_config.security.signing import MasterKeys, digest
from ...broker_config.timed.boot_bound import bind
from ...broker_config.timed.secret_values import FIELD, require_master, seal_timed_secrets
from ...broker_config.timed.timed_invocation import calendar_of, next_due, server_ms, timed_fields


def begin(
    redis: Redis,
    invocation: Invocation,
    order: Order,
    targets: Sequence[str],
    master: MasterKeys | None,
    secrets: Mapping[str, str],
) -> DueTime | None:
    """Enter an invocation whose record, targets and work order are stored; answer its first due time.

    The answer is ``None`` for one that is bound to the start of machines. Before this call it is never run.

    Raises:
        RequestInvalid: its schedule has no due time in the future.
    """
    now_ms = server_ms(redis)
    order_digest = digest(encode(order))
    fields = timed_fields(invocation, order_digest, targets, master)
    fields["anchor_ms"] = now_ms
    if secrets:
        fields[FIELD] = seal_timed_secrets(require_master(master), invocation.invoke_id, secrets)
    due = None
    if invocation.schedule.repeat_mode == RepeatMode.PERIOD:
        due, more = _first_due(invocation, now_ms)
        fields |= more
    else:
        bind(redis, invocation, order_digest, targets, master, created_ms=now_ms, secret_values=secrets)
    due_ms = None if due is None else due.utc_ms
    run(redis, begin_timed_command(invocation.invoke_id, now_ms=now_ms, due_ms=due_ms, fields=fields))
    return due


def _first_due(invocation: Invocation, now_ms: int) -> tuple[DueTime, dict[str, Argument]]:
    """The first due time, and the one after it so that the first firing needs no calendar."""
    calendar = calendar_of(invocation.schedule, now_ms)
    due = next_due(calendar, invocation.schedule, now_ms)
    if due is None:
        raise RequestInvalid(
            f"Frequency {invocation.schedule.frequency!r} has no due time in the future", code="InvalidParam.Frequency"
        )
    following = next_due(calendar, invocation.schedule, due.utc_ms)
    next_ms, next_skip = (following.utc_ms, following.skipped) if following else (0, "")
    return due, {"due_skip": due.skipped, "next_ms": next_ms, "next_skip": next_skip}
