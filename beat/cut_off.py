"""Invocations whose producer ended in the middle of dispatching: every target gets its execution, or its reason."""

from collections.abc import Sequence

import msgspec

from ..broker_config import keys
from ..broker_config.dispatch import Dispatcher
from ..broker_config.errors import RedisRefused
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.messages import Order, WorkOrder, decode_envelope, decode_order
from ..broker_config.pacing import life_ms
from ..broker_config.programs.program_log import logger
from ..broker_config.records import Invocation
from ..broker_config.redis.client import Redis
from ..broker_config.security.dispatch_seal import is_dispatch_sealed
from ..broker_config.security.signing import MasterKeys, digest

#: Rows searched for the work order when it has no key of its own.
_SEARCHED_COUNT = 400
#: Executions that cannot be dispatched any more are written as already past their deadline.
_PAST_MS = -1

_log = logger("beat")


class Completer:
    """Completes dispatches; safe beside the producer itself and beside other beats."""

    def __init__(self, redis: Redis, master: MasterKeys | None, queue_count: int) -> None:
        self._redis = redis
        self._master = master
        self._dispatcher = Dispatcher(redis, master, queue_count=queue_count)
        #: Those left to a beat with the master key, and of which the log says so.
        self._left: set[str] = set()

    def complete(self, invocation: Invocation, targets: Sequence[str], missing: Sequence[str], now_ms: int) -> None:
        """Write the executions that are missing, to be run in the time that is left for their delivery.

        Where the work order is gone, or is not what the producer has sealed for these targets, they are written as too
        late, and the sweeper gives them their reason. What is sealed and in time is left to a beat with the master key:
        an agent would refuse what is not signed.

        Raises:
            RedisUnreachable, RedisRefused: the rest is completed later.
        """
        asked_ms = invocation.deliver_within_seconds * 1000
        # The producer's clock may differ from Redis': never more than was asked for.
        within_ms = min(asked_ms, invocation.created_ms + life_ms(invocation, asked_ms) - now_ms)
        if self._master is None and invocation.dispatch_seal and within_ms > 0:
            self._leave(invocation.invoke_id)
            return
        order = self._work_order(invocation, targets) if within_ms > 0 else None
        if order is None:
            # What it would run does not matter, for nobody can claim it.
            order, within_ms = _nothing(invocation), _PAST_MS
            invocation = msgspec.structs.replace(invocation, pacing=None)
        _log.warning(
            "completed a dispatch that was cut off invocation=%s missing=%d runs=%s",
            invocation.invoke_id,
            len(missing),
            within_ms > 0,
        )
        self._dispatcher.complete(invocation, order, missing, within_ms=within_ms, all_targets=targets)

    def _leave(self, invoke_id: str) -> None:
        if invoke_id not in self._left:
            _log.error(
                "left a dispatch that was cut off, because its producer signs and no master key is here; "
                "copy the master key file, or name it with security.master_key_file invocation=%s",
                invoke_id,
            )
            self._left.add(invoke_id)

    def _work_order(self, invocation: Invocation, targets: Sequence[str]) -> Order | None:
        """The work order as the producer wrote it; ``None`` when it cannot be found or trusted."""
        if invocation.secret_names:
            # Their values were sealed for each target by the producer, and nobody else knows them.
            return None
        stored: bytes | None = self._redis.call("GET", keys.payload(invocation.payload_token))
        searched = [(one, f"{invocation.invoke_id}.0@{one}") for one in targets[:_SEARCHED_COUNT]]
        replies = run_apart(
            self._redis, [read_fields_command(keys.execution(*one), "envelope", "payload") for one in searched]
        )
        # An agent may have made its row anything.
        rows = [reply for reply in replies if not isinstance(reply, RedisRefused)]
        offered = [(inline or stored, envelope) for envelope, inline in rows]
        if self._master is not None:
            # The seal says all, and one look at each is enough.
            offered = list(dict.fromkeys((payload, None) for payload in (stored, *(payload for payload, _ in offered))))
        for payload, envelope in offered:
            if payload and self._is_meant(invocation, targets, payload, envelope):
                return _order_in(payload)
        return None

    def _is_meant(self, invocation: Invocation, targets: Sequence[str], payload: bytes, envelope: bytes | None) -> bool:
        """Tell whether the producer meant this work order for these targets.

        With a master key its seal says so, whatever else stands in the rows; without one an envelope that names it.
        """
        if self._master is not None:
            return is_dispatch_sealed(invocation, digest(payload), targets, self._master)
        try:
            read = decode_envelope(envelope or b"")
        except msgspec.MsgspecError:
            return False
        return (read.invoke_id, read.digest) == (invocation.invoke_id, digest(payload))


def _order_in(payload: bytes) -> Order | None:
    try:
        return decode_order(payload)
    except msgspec.MsgspecError:
        return None


def _nothing(invocation: Invocation) -> Order:
    """A work order that says what was asked for, without the parameters that only the producer could fill in."""
    return WorkOrder(
        command_id=invocation.command.command_id,
        type=invocation.command.type.value,
        content=b"",
        timeout_seconds=invocation.timeout_seconds,
    )
