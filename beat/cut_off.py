"""Invocations whose producer ended in the middle of dispatching: every target gets its execution, or its reason."""

from collections.abc import Sequence

import msgspec

from ..broker_config import keys
from ..broker_config.dispatch import Dispatcher
from ..broker_config.messages import Order, WorkOrder, decode_envelope, decode_order
from ..broker_config.program_log import logger
from ..broker_config.records import Invocation
from ..broker_config.redis_client import Redis
from ..broker_config.signing import MasterKeys, digest, parse_signature, verify

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

    def complete(self, invocation: Invocation, targets: Sequence[str], missing: Sequence[str], now_ms: int) -> None:
        """Write the executions that are missing, to be run in the time that is left for their delivery.

        Where the work order is gone, or is not what the producer has signed for other targets, they are written as too
        late, and the sweeper gives them their reason.

        Raises:
            RedisUnreachable, RedisRefused: the rest is completed later.
        """
        asked_ms = invocation.deliver_within_seconds * 1000
        # The producer's clock may differ from Redis': never more than was asked for.
        within_ms = min(asked_ms, invocation.created_ms + asked_ms - now_ms)
        order = self._work_order(invocation, targets) if within_ms > 0 else None
        if order is None:
            # What it would run does not matter, for nobody can claim it.
            order, within_ms = _nothing(invocation), _PAST_MS
        _log.warning(
            "completed a dispatch that was cut off invocation=%s missing=%d runs=%s",
            invocation.invoke_id,
            len(missing),
            within_ms > 0,
        )
        self._dispatcher.fire(invocation, order, missing, firing_ms=0, within_ms=within_ms)

    def _work_order(self, invocation: Invocation, targets: Sequence[str]) -> Order | None:
        """The work order as the producer wrote and signed it; ``None`` when it cannot be found or trusted."""
        if invocation.secret_names:
            # Their values were sealed for each target by the producer, and nobody else knows them.
            return None
        stored: bytes | None = self._redis.call("GET", keys.payload(invocation.payload_token))
        searched = [(one, f"{invocation.invoke_id}.0@{one}") for one in targets[:_SEARCHED_COUNT]]
        rows = self._redis.pipeline_or_raise(
            [("HMGET", keys.execution(*one), "envelope", "mac", "payload") for one in searched]
        )
        for (instance_id, _), (envelope, signature, inline) in zip(searched, rows, strict=True):
            payload = inline or stored
            if envelope and payload and self._is_signed(invocation, instance_id, envelope, signature or b"", payload):
                return decode_order(payload)
        return None

    def _is_signed(
        self, invocation: Invocation, instance_id: str, envelope: bytes, signature: bytes, payload: bytes
    ) -> bool:
        """Tell whether a producer has signed this work order, as part of this invocation, for one of its targets."""
        try:
            read = decode_envelope(envelope)
            decode_order(payload)
        except msgspec.MsgspecError:
            return False
        if read.invoke_id != invocation.invoke_id or read.digest != digest(payload):
            return False
        if self._master is None:
            return True
        key_id = parse_signature(signature, self._master.current).key_id
        try:
            key = self._master.instance_key(instance_id, key_id)
        except KeyError:
            return False
        return verify(key, instance_id, envelope, signature)


def _nothing(invocation: Invocation) -> Order:
    """A work order that says what was asked for, without the parameters that only the producer could fill in."""
    return WorkOrder(
        command_id=invocation.command.command_id,
        type=invocation.command.type.value,
        content=b"",
        timeout_seconds=invocation.timeout_seconds,
    )
