"""Say that this agent is alive, and learn what waits for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..broker_config import keys
from ..broker_config.clock import now_ms
from ..broker_config.errors import RedisRefused, Refused
from ..broker_config.functions.instances import Beat, heartbeat, register_instance
from ..broker_config.machine_name import machine_name
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Argument
from ..broker_config.reported_values import text
from .executor import Facts
from .identity import Identity, earlier_epochs, refuse_second_agent, remember_epoch
from .inventory import Inventory
from .trust.refusal_report import CLONE, SECOND_AGENT, quarantine, report

_log = logger("heartbeat")


@dataclass(kw_only=True)
class Heartbeat:
    """The heartbeat of one agent; one thread uses it."""

    redis: Redis
    identity: Identity
    home: Path
    ttl_seconds: float
    slots: int
    facts: Facts
    #: What changes from beat to beat: counts, disk.
    load: Callable[[], Mapping[str, Argument]]
    #: Whether the instance has credentials: then a second machine with them is a clone or a thief, not a mistake.
    has_identity: bool = False
    inventory: Inventory | None = None
    _is_known: bool = False
    _intruder: str = ""
    _clock_offset_ms: int = 0
    _constant: Mapping[str, Argument] = field(default_factory=dict)

    def first(self) -> Beat:
        """Take the instance id for this agent.

        Raises:
            Refused: another agent lives with this id, and it is not an earlier run of this home.
            RedisUnreachable, RedisRefused: Redis does not answer now.
        """
        self._constant = self.identity.fields(slots=self.slots)
        earlier = earlier_epochs(self.home)
        if self.identity.epoch not in earlier:
            remember_epoch(self.home, self.identity.epoch)
        beat = self._beat(take_over=False)
        if beat.epoch in ("", self.identity.epoch):
            pass
        elif beat.epoch in earlier:
            beat = self._beat(take_over=True)
        else:
            occupied = self._occupied()
            if self.has_identity and self._is_elsewhere(beat):
                info = f"an agent tried to join from {self._whereabouts()} while one was alive elsewhere"
                report(self.redis, self.identity.instance_id, SECOND_AGENT, info)
            raise occupied
        self.register()
        return beat

    def again(self) -> Beat:
        """Beat once more, with everything when Redis does not know us (any more).

        Raises:
            RedisUnreachable, RedisRefused: Redis does not answer now.
        """
        beat = self._beat(take_over=False)
        if not beat.epoch:
            # Redis came back empty, or we were silent for too long.
            self.register()
            beat = self._beat(take_over=False)
        self._watch_for_intruder(beat)
        return beat

    def last(self) -> None:
        """Say goodbye: the instance is shown as not connected at once.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not answer now.
        """
        heartbeat(self.redis, self.identity.instance_id, self.identity.epoch, {}, ttl_ms=1, take_over=False)

    def register(self) -> None:
        """Make this instance known where no registration did it; without the right to do so it is known already."""
        fields = {"name": str(self._constant["hostname"]), "os_type": str(self._constant["os_type"])}
        try:
            register_instance(self.redis, self.identity.instance_id, fields, now_ms=now_ms(), must_be_new=True)
        except RedisRefused as exc:
            if exc.kind != "NOPERM":
                raise

    def _beat(self, *, take_over: bool) -> Beat:
        fields = dict(self.load())
        fields["clock_offset_ms"] = self._clock_offset_ms
        if not self._is_known:
            fields.update(self._constant)
        if self.inventory is not None:
            fields.update(self.inventory.changed() if self._is_known else self.inventory.all())
        sent_ms = now_ms()
        beat = heartbeat(
            self.redis,
            self.identity.instance_id,
            self.identity.epoch,
            fields,
            ttl_ms=int(self.ttl_seconds * 1000),
            take_over=take_over,
        )
        if self.inventory is not None:
            self.inventory.note_told()
        self._clock_offset_ms = (sent_ms + now_ms()) // 2 - beat.server_ms
        self._is_known = beat.epoch == self.identity.epoch
        self.facts.name, self.facts.account_id = beat.name, beat.account_id
        self.facts.quarantine = beat.quarantine
        return beat

    def _watch_for_intruder(self, beat: Beat) -> None:
        if beat.epoch in ("", self.identity.epoch):
            self._intruder = ""
        elif beat.epoch != self._intruder:
            _log.error("another agent uses the id of this instance: %s", self._occupied())
            if self.has_identity and self._is_elsewhere(beat):
                self._stop_for_clone(beat)
            # Not before: where Redis went away meanwhile, the next beat does all of it again.
            self._intruder = beat.epoch

    def _is_elsewhere(self, beat: Beat) -> bool:
        """Whether the other one runs on another machine, or in another start of this one."""
        return (beat.boot_id, beat.machine_id) != (self.identity.boot_id, self.identity.machine_id)

    def _whereabouts(self) -> str:
        return f"boot {self.identity.boot_id} of machine {self.identity.machine_id} ({machine_name()})"

    def _stop_for_clone(self, beat: Beat) -> None:
        """Two machines work with one identity: neither gets work until somebody has looked."""
        other = f"boot {beat.boot_id} of machine {beat.machine_id}"
        reason = f"two machines use this identity at the same time: {self._whereabouts()} and {other}"
        self.facts.quarantine = reason
        quarantine(self.redis, self.identity.instance_id, reason)
        report(self.redis, self.identity.instance_id, CLONE, reason)

    def _occupied(self) -> Refused:
        found = self.redis.call("HMGET", keys.info(self.identity.instance_id), "hostname", "pid")
        name, pid = (text(part) or "?" for part in found)
        return refuse_second_agent(self.identity.instance_id, instance_name=name, pid=pid, ttl_seconds=self.ttl_seconds)
