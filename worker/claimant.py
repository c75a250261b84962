"""The claims of an agent: how one is made, and how one whose answer was lost is found again."""

from dataclasses import dataclass

from ..broker_config.functions.executions import Claimed, claim_command
from ..broker_config.keys import execution
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Command
from ..broker_config.reported_values import text, whole_number


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """Who claims: this agent, in this run of it."""

    instance_id: str
    epoch: str
    boot_id: str
    report_margin_ms: int

    def command(self, execution_id: str) -> Command:
        """The claim of one execution, for a pipeline."""
        return claim_command(
            self.instance_id,
            execution_id,
            epoch=self.epoch,
            boot_id=self.boot_id,
            report_margin_ms=self.report_margin_ms,
        )

    def lost_claim(self, redis: Redis, execution_id: str) -> Claimed | None:
        """Read a claim that we made and whose answer never came; ``None`` when the row is not ours, or not running.

        Raises:
            RedisUnreachable, RedisRefused: it cannot be read now.
        """
        names = ("state", "epoch", "envelope", "mac", "key_id", "payload", "claimed_ms")
        state, epoch, envelope, mac, key_id, payload, claimed_ms = redis.call(
            "HMGET", execution(self.instance_id, execution_id), *names
        )
        if state != b"Running" or epoch != self.epoch.encode() or envelope is None:
            return None
        return Claimed(envelope, mac or b"", text(key_id), payload or b"", whole_number(claimed_ms))
