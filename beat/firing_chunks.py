"""Build what one call of the firing function takes: envelope, signatures, jitter."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from ..broker_config.errors import Refused
from ..broker_config.functions.firings import FiringChunk, FiringPacing, FiringTarget
from ..broker_config.functions.timed import TimedReading
from ..broker_config.ids import execution_id
from ..broker_config.messages import EXPIRY_MARGIN_MS, Envelope, encode
from ..broker_config.pacing import life_of_lines_ms
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.security.envelope_signing import key_ids, seal_secrets
from ..broker_config.security.signing import MasterKeys
from ..broker_config.task_message import template
from ..broker_config.timed.secret_values import FIELD, open_timed_secrets
from ..broker_config.timed.timed_invocation import TARGETS_PER_DIGEST_COUNT, Timed, is_sealed, targets_digest
from .decisions import Fire

#: Targets written by one call: bounds how long Redis is busy with it.
CHUNK_COUNT = TARGETS_PER_DIGEST_COUNT
#: A dispatch whose owner says nothing for this long is taken over.
LEASE_MS = 3_000

_log = logger("beat")


@dataclass(frozen=True, slots=True)
class ChunkBuilder:
    """Builds firing chunks for one beat."""

    master: MasterKeys | None
    #: Names this beat in leases and messages.
    token: str
    queue_count: int
    #: The time for delivery where a schedule names none, from its turn on, for those that wait for one.
    deliver_within_ms: int = 60_000

    def may_sign(self, invoke_id: str, reading: TimedReading, first_place: int) -> bool:
        """Tell whether a producer with our key wrote what a firing would be signed for."""
        if self.master is None:
            return True
        digests = reading.fields.get("target_digests", "").split(",")
        number = first_place // CHUNK_COUNT
        return (
            is_sealed(invoke_id, reading.fields, self.master)
            and number < len(digests)
            and targets_digest(reading.targets) == digests[number]
        )

    def lacks_key_for(self, timed: Timed) -> bool:
        """Tell whether a producer signs this timed invocation and nobody here can: agents would refuse its firings."""
        return self.master is None and bool(timed.seal)

    def key_ids(self, redis: Redis, readings: Sequence[TimedReading]) -> dict[str, str]:
        """Which key each target of some readings holds; ``""`` for the first of the current master key."""
        if self.master is None:
            return {}
        targets = list({one for reading in readings for one in reading.targets})
        return dict(zip(targets, key_ids(redis, targets), strict=True))

    def build(
        self,
        timed: Timed,
        reading: TimedReading,
        fire: Fire,
        held_keys: Mapping[str, str],
        *,
        first_place: int,
        target_count: int,
        pacing: FiringPacing | None = None,
    ) -> FiringChunk:
        """Put together some targets of a firing, those of ``reading``; what is stopped gets nothing."""
        due_ms = fire.due.utc_ms
        end_place = min(first_place + len(reading.targets), target_count)
        envelope = _envelope(timed, fire, pacing)
        values = self._secrets(timed.invoke_id, reading)
        targets = [
            self._target(timed, due_ms, instance_id, latest_ms, self._sign(instance_id, envelope, held_keys, values))
            for instance_id, latest_ms, is_stopped in zip(
                reading.targets[: end_place - first_place], reading.latest_ms, reading.stopped, strict=False
            )
            if not is_stopped
        ]
        return FiringChunk(
            invoke_id=timed.invoke_id,
            due_ms=due_ms,
            token=self.token,
            lease_ms=LEASE_MS,
            first_place=first_place,
            end_place=end_place,
            target_count=target_count,
            deadline_ms=fire.deadline_ms,
            envelope=envelope,
            key_id=self.master.current if self.master else "",
            message_template=template(timed.payload_token, self.token),
            queue_count=self.queue_count,
            command_id=timed.command_id,
            timeout_seconds=timed.timeout_seconds,
            done_channel=timed.done_channel,
            overlap=fire.overlap,
            max_count=timed.schedule.max_count,
            revision=timed.revision,
            next_due_ms=fire.following.utc_ms if fire.following else 0,
            next_skipped=fire.following.skipped if fire.following else "",
            end_reason=fire.end_reason,
            open_due_ms=timed.open_due_ms,
            note=fire.note,
            targets=targets,
            pacing=pacing,
        )

    def pacing_of(self, timed: Timed) -> FiringPacing | None:
        """How a firing of it runs, as it stands now; ``None`` for everywhere at once."""
        pacing = timed.schedule.pacing
        if pacing is None:
            return None
        within_ms = timed.deliver_within_ms or self.deliver_within_ms
        script_ms = int((timed.timeout_seconds + timed.grace_seconds) * 1000)
        return FiringPacing(
            at_once_count=pacing.at_once_count,
            failures_count=pacing.failures_count,
            deliver_within_ms=within_ms,
            life_ms=life_of_lines_ms(pacing, timed.target_count, within_ms=within_ms, script_ms=script_ms),
        )

    def _secrets(self, invoke_id: str, reading: TimedReading) -> Mapping[str, str]:
        try:
            return open_timed_secrets(self.master, invoke_id, reading.fields.get(FIELD, ""))
        except Refused as exc:
            # The agent misses them, runs nothing, and says so in the result.
            _log.error("cannot open the secret parameters of a timed invocation invocation=%s: %s", invoke_id, exc)
            return {}

    def _sign(
        self, instance_id: str, envelope: bytes, held_keys: Mapping[str, str], values: Mapping[str, str]
    ) -> bytes:
        if self.master is None:
            return b""
        key_id = held_keys.get(instance_id, "")
        try:
            sealed = b""
            if values:
                key = self.master.instance_key(instance_id, key_id)
                sealed = seal_secrets(key, instance_id, envelope, values)
            return self.master.sign(instance_id, envelope, key_id, sealed)
        except KeyError:
            # The agent refuses what is not signed, and says so in the result.
            _log.error("cannot sign: the master key is not here instance=%s key=%s", instance_id, key_id)
            return b""

    @staticmethod
    def _target(timed: Timed, due_ms: int, instance_id: str, latest_ms: int, signature: bytes) -> FiringTarget:
        offset_ms = jitter_ms(timed.invoke_id, instance_id, timed.schedule.jitter_seconds)
        return FiringTarget(
            instance_id,
            execution_id(timed.invoke_id, due_ms, instance_id),
            signature,
            due_ms + offset_ms if offset_ms else 0,
            execution_id(timed.invoke_id, latest_ms, instance_id) if latest_ms else "",
        )


def _envelope(timed: Timed, fire: Fire, pacing: FiringPacing | None) -> bytes:
    due_ms = fire.due.utc_ms
    return encode(
        Envelope(
            invoke_id=timed.invoke_id,
            firing_ms=due_ms,
            attempt=1,
            digest=timed.digest,
            payload_token=timed.payload_token,
            created_ms=due_ms,
            expires_ms=fire.deadline_ms + (pacing.life_ms if pacing else 0) + EXPIRY_MARGIN_MS,
            nonce=secrets.token_hex(12),
        )
    )


def jitter_ms(invoke_id: str, instance_id: str, jitter_seconds: float) -> int:
    """How long after each due time an instance starts: always the same for it, spread evenly over instances."""
    if not jitter_seconds:
        return 0
    spread = int.from_bytes(blake2b(f"{invoke_id} {instance_id}".encode(), digest_size=8).digest()) / 2**64
    return int(spread * jitter_seconds * 1000)
