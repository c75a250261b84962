"""One simulated instance: everything its agent says to Redis, and nothing of what an agent does on its machine.

The commands come from the product's own builders and go to its own functions; envelopes, work orders and results pass
its own verification and signing. What is left out is the script (it ends at once, with ``123``) and Celery: the
queue's message is taken with the same BRPOP and read here.
"""

import secrets
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from time import monotonic
from typing import Any

import msgspec

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.executions import (
    Claimed,
    LivePiece,
    append_output_command,
    claim_reply,
    finish_command,
)
from cloud_assistant.broker_config.functions.instances import beat_reply, heartbeat_command
from cloud_assistant.broker_config.messages import WorkOrder
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument, Command
from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.settings_table import AgentSettings
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.identity import Identity
from cloud_assistant.worker.queue.event_outbox import EventOutbox
from cloud_assistant.worker.queue.line import WAIT_SECONDS
from cloud_assistant.worker.trust.key_ring import KeyRing
from cloud_assistant.worker.trust.verification import Verifier

#: Commands to send in one go, for which it is sent the replies.
Life = Generator[Sequence[Command], list[Any], None]

_SETTINGS = AgentSettings()
_JITTER = 0.2
_EVENT_BEATS = 3
_OUTPUT = b"123\n"


@dataclass
class Counters:
    """What all instances of one process did so far, in moments of the machine's monotonic clock."""

    beat_count: int = 0
    claimed_count: int = 0
    claimed_at: float = 0.0
    finished_count: int = 0
    finished_at: float = 0.0
    refused_count: int = 0


class SimulatedInstance:
    """One instance with its two connections: that of the queue, and that of the lane."""

    def __init__(self, identity: Identity, key: str, sign_in: Sequence[Command], redis: Redis, told: Counters) -> None:
        self._identity = identity
        self._instance_id = identity.instance_id
        self._sign_in = sign_in
        self._told = told
        self._keys = KeyRing(Path("/nonexistent"), self._instance_id, key)
        self._verifier = Verifier(self._instance_id, self._keys, tolerance_ms=300_000)
        self._claimant = Claimant(
            instance_id=self._instance_id, epoch=identity.epoch, boot_id=identity.boot_id, report_margin_ms=60_000
        )
        self._clock = 0
        self._outbox = EventOutbox(redis, self._instance_id, version=identity.agent_version, tick=self._tick)
        self._is_known = False
        self._beat_count = 0
        self._beat_at = 0.0

    def work(self, *, has_lane: bool) -> Life:
        """Take messages and run what they name; beat in between where there is no connection for a lane."""
        yield self._sign_in
        while True:
            if not has_lane and monotonic() >= self._beat_at:
                yield from self._beat()
            [popped] = yield [("BRPOP", keys.queue(self._instance_id), WAIT_SECONDS)]
            if popped is not None:
                yield from self._execute(*_arguments(popped[1]))

    def lane(self) -> Life:
        """Beat, and wait for stop requests between the beats."""
        yield self._sign_in
        while True:
            yield from self._beat()
            while (rest_seconds := self._beat_at - monotonic()) > 0:
                yield [("BLPOP", keys.control(self._instance_id), f"{max(0.01, rest_seconds):.3f}")]

    def _beat(self) -> Life:
        fields: dict[str, Argument] = {
            "running_count": 0,
            "waiting_count": 0,
            "unreported_count": 0,
            "disk_free_bytes": 10**11,
            "key_ids": self._keys.key_ids,
            "clock_offset_ms": 0,
        }
        if not self._is_known:
            fields.update(self._identity.fields(slots=_SETTINGS.slots))
        ttl_ms = int(_SETTINGS.heartbeat_ttl_seconds * 1000)
        epoch = self._identity.epoch
        commands = [heartbeat_command(self._instance_id, epoch, fields, ttl_ms=ttl_ms, take_over=False)]
        if self._beat_count % _EVENT_BEATS == 0:
            freq = _SETTINGS.heartbeat_seconds * _EVENT_BEATS
            commands.append(self._outbox.worker_event("worker-heartbeat", interval_seconds=freq, active_count=0))
        replies = yield commands
        self._is_known = beat_reply(replies[0]).epoch == epoch
        self._beat_count += 1
        self._told.beat_count += 1
        self._beat_at = monotonic() + _SETTINGS.heartbeat_seconds * uniform(1 - _JITTER, 1 + _JITTER)

    def _execute(self, execution_id: str, payload_token: str) -> Life:
        self._outbox.send("task-received", uuid=execution_id, name="run", args="", kwargs="")
        commands = [self._claimant.command(execution_id)]
        if payload_token:
            commands.append(("GET", keys.payload(payload_token)))
        replies = yield commands
        claim = claim_reply(replies[0])
        if not isinstance(claim, Claimed):
            self._told.refused_count += 1
            return
        self._told.claimed_count += 1
        self._told.claimed_at = monotonic()
        self._outbox.send("task-started", uuid=execution_id)
        envelope, _ = self._verifier.envelope(execution_id, claim, forgotten_until_ms=0)
        order = self._verifier.order(envelope, claim.payload or replies[1])
        assert isinstance(order, WorkOrder)
        yield [self._live_output(execution_id)]
        yield [self._end(execution_id)]
        self._told.finished_count += 1
        self._told.finished_at = monotonic()
        self._outbox.send("task-succeeded", uuid=execution_id, result="None", runtime=0.001)
        if events := self._outbox.emptied():
            yield [events]

    def _live_output(self, execution_id: str) -> Command:
        piece = LivePiece(offset_bytes=0, skipped_bytes=0, streams="", data=_OUTPUT, keep_count=100, ttl_ms=3_600_000)
        return append_output_command(self._instance_id, execution_id, piece)

    def _end(self, execution_id: str) -> Command:
        now = now_ms()
        outcome = Outcome(
            state=ExecutionState.SUCCESS,
            started_ms=now,
            finished_ms=now,
            exit_code=0,
            output=KeptStreams(data=_OUTPUT),
        )
        return finish_command(
            self._instance_id,
            execution_id,
            outcome.state,
            self._keys.signed(execution_id, outcome.state, outcome.fields()),
            live_output_ttl_ms=300_000,
            retention_ms=86_400_000,
        )

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def identities(instance_ids: Iterable[str]) -> list[Identity]:
    """Make up who the instances are; each is a machine of its own."""
    started_ms = now_ms()
    return [
        Identity(
            instance_id=one,
            epoch=f"{started_ms:x}-{secrets.token_hex(6)}",
            boot_id=secrets.token_hex(16),
            machine_id=secrets.token_hex(16),
            started_ms=started_ms,
            agent_version="simulated",
        )
        for one in instance_ids
    ]


def _arguments(message: bytes) -> tuple[str, str]:
    """Read execution id and payload token from a Celery message."""
    body = msgspec.json.decode(msgspec.json.decode(message)["body"])
    execution_id, payload_token = body[0]
    return execution_id, payload_token
