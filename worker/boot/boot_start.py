"""Run what is bound to the start of the machine: once for each boot, and not when an agent is restarted.

Redis makes such an execution and claims it in one step, when this agent asks what this boot still owes. What it answers
is ours to run or to report. An answer that was lost on its way is found again in the ledger, by this agent's epoch; one
whose agent died is ended by the next agent like any other execution that was claimed and never started.
"""

from dataclasses import dataclass
from functools import partial

import msgspec

from ...broker_config import keys
from ...broker_config.functions.boot_firings import BootExecution, fire_boot
from ...broker_config.ids import is_execution_of
from ...broker_config.messages import Envelope, decode_envelope
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.client import Redis
from ...broker_config.reported_values import text
from ...broker_config.timed.boot_bound import is_boot_bound
from ..claimant import Claimant
from ..execution.machine_clock import uptime_ms
from ..executor import Executor
from ..in_hand import InHand
from ..slots import Slots

#: Unfinished executions looked through for those whose answer was lost.
_SEARCHED_COUNT = 500

_log = logger("boot")


@dataclass(kw_only=True)
class BootStart:
    """What one agent owes to the start of its machine; used before it takes anything from the queue."""

    redis: Redis
    claimant: Claimant
    executor: Executor
    in_hand: InHand
    slots: Slots
    _is_done: bool = False
    _was_tried: bool = False

    def run(self) -> None:
        """Have what this boot owes made, and hand it to the slots; does nothing once that has worked.

        Raises:
            RedisUnreachable, RedisRefused: to be called again; what was made meanwhile is found then.
        """
        if self._is_done:
            return
        was_tried, self._was_tried = self._was_tried, True
        made = fire_boot(
            self.redis,
            self.claimant.instance_id,
            boot_id=self.claimant.boot_id,
            uptime_ms=uptime_ms(),
            epoch=self.claimant.epoch,
            report_margin_ms=self.claimant.report_margin_ms,
        )
        known = {one.execution_id for one in made}
        if was_tried:
            made += [one for one in self._unanswered() if one.execution_id not in known]
        for one, payload in zip(made, self._payloads(made), strict=True):
            if self.in_hand.enter(one.execution_id):
                _log.info("runs because the machine started execution=%s", one.execution_id)
                self.slots.submit(partial(self.executor.run_boot, one.execution_id, one.claimed, payload))
        self._is_done = True

    def _unanswered(self) -> list[BootExecution]:
        """Executions that an earlier call has made, and whose answer never came."""
        instance_id = self.claimant.instance_id
        names = self.redis.call("ZRANGE", keys.open_executions(instance_id), 0, _SEARCHED_COUNT - 1)
        found = []
        for name in filter(self._is_ours, map(text, names)):
            claimed = self.claimant.lost_claim(self.redis, name)
            envelope = claimed and _readable(claimed.envelope)
            if claimed and envelope and is_boot_bound(envelope):
                found.append(BootExecution(name, claimed))
        return found

    def _is_ours(self, name: str) -> bool:
        return is_execution_of(name, self.claimant.instance_id)

    def _payloads(self, made: list[BootExecution]) -> list[bytes]:
        """The work orders, fetched while somebody can still try again; what is gone is reported when it is to run."""
        envelopes = [_readable(one.claimed.envelope) for one in made]
        if not envelopes:
            return []
        tokens = [envelope.payload_token if envelope else "" for envelope in envelopes]
        return [found or b"" for found in self.redis.pipeline_or_raise([("GET", keys.payload(one)) for one in tokens])]


def _readable(envelope: bytes) -> Envelope | None:
    """Read an envelope; one that cannot be read is refused, with the reason, when it is to run."""
    try:
        return decode_envelope(envelope)
    except msgspec.MsgspecError:
        return None
