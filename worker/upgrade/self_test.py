"""A self-test execution: a ledger row and a message like a producer's, for one agent to claim, run and report.

It is signed with the instance's own key, which is the one that producers sign with for it. No part of it is shown as an
invocation; the row is gone a while after the trial.
"""

import secrets

from ...broker_config import keys
from ...broker_config.clock import now_ms, server_time_ms
from ...broker_config.error_codes import ErrorCode
from ...broker_config.ids import execution_id, new_id
from ...broker_config.messages import Envelope, WorkOrder, encode
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Argument
from ...broker_config.security.signing import Signature, digest, mac
from ...broker_config.states import ExecutionState
from ...broker_config.task_message import fill, template
from ..trust.instance_key import InstanceKeys

#: What ``verdict`` says of a self-test that Redis does not know any more.
LOST = "its self-test was lost"

_TIMEOUT_SECONDS = 60


class SelfTest:
    """One self-test of one instance's agent."""

    def __init__(self, redis: Redis, instance_id: str, instance_keys: InstanceKeys | None, *, life_ms: int) -> None:
        """``life_ms`` is how long it may wait for a slot; it must outlive the trial that it is a part of."""
        self._life_ms = life_ms
        self._redis = redis
        self._instance_id = instance_id
        self._keys = instance_keys
        self._invoke_id = new_id("t")
        self._execution_id = execution_id(self._invoke_id, 0, instance_id)
        self._proof = secrets.token_hex(8)

    def begin(self) -> None:
        """Put it into the ledger and the queue.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not take it now.
        """
        order = encode(
            WorkOrder(
                command_id="c-selftest",
                command_name="self-test",
                type="RunShellScript",
                content=f"echo {self._proof}".encode(),
                timeout_seconds=_TIMEOUT_SECONDS,
            )
        )
        created_ms = now_ms()
        envelope = encode(
            Envelope(
                invoke_id=self._invoke_id,
                firing_ms=0,
                attempt=1,
                digest=digest(order),
                created_ms=created_ms,
                expires_ms=created_ms + self._life_ms,
                nonce=secrets.token_hex(12),
            )
        )
        key_id, signature = self._sign(envelope)
        row = keys.execution(self._instance_id, self._execution_id)
        fields: dict[str, Argument] = {
            "state": ExecutionState.PENDING.value,
            "invoke_id": self._invoke_id,
            "command_id": "c-selftest",
            "firing_ms": 0,
            "attempt": 1,
            "created_ms": created_ms,
            "deadline_ms": server_time_ms(self._redis.call("TIME")) + self._life_ms,
            "timeout_seconds": _TIMEOUT_SECONDS,
            "envelope": envelope,
            "mac": signature,
            "key_id": key_id,
            "payload": order,
        }
        message = fill(template("", self._instance_id), self._execution_id)
        self._redis.pipeline_or_raise(
            [
                ("HSET", row, *(part for pair in fields.items() for part in pair)),
                ("PEXPIRE", row, self._life_ms),
                ("LPUSH", keys.queue(self._instance_id), message),
            ]
        )

    def verdict(self) -> str | None:
        """How it went: ``""`` when it passed, ``None`` while it is not over, ``LOST``, else what is wrong.

        Raises:
            RedisUnreachable, RedisRefused: it cannot be read now.
        """
        names = ("state", "exit_code", "output", "error_code", "error_info")
        found = self._redis.call("HMGET", keys.execution(self._instance_id, self._execution_id), *names)
        state, exit_code, output, error_code, error_info = ((part or b"").decode("utf-8", "replace") for part in found)
        if not state:
            return LOST
        if state in (ExecutionState.PENDING, ExecutionState.RUNNING):
            return None
        if error_code in (ErrorCode.REFUSED_BY_LOCAL_POLICY, ErrorCode.INSTANCE_QUARANTINED):
            # The owner of the machine allows only what they know, or nothing runs here until somebody has looked; that
            # the agent judged it is all there is to see.
            return ""
        if state == ExecutionState.SUCCESS and exit_code == "0" and self._proof in output:
            return ""
        return f"its self-test ended as {state} {error_code} {error_info}".strip()

    def _sign(self, envelope: bytes) -> tuple[str, bytes]:
        held = self._keys
        if held is None:
            return "", b""
        key = held.keys[held.current]
        return held.current, bytes(Signature(held.current, mac(key, self._instance_id, envelope)))
