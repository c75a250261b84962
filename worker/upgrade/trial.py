"""Judge a new version from outside, by what it does in Redis: its heartbeat, and a self-test that it runs.

Nothing that the new version says of itself on this machine is believed, and it needs no code for being tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from ...broker_config import keys
from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.redis.client import Redis
from ..trust.instance_key import InstanceKeys
from .self_test import LOST, SelfTest

#: Redis, or slots that are all taken by scripts, may hold up a verdict for this long.
MOST_HELD_UP_SECONDS = 3600.0
#: A self-test outlives the longest trial by this much.
_SPARE_SECONDS = 300.0


class Verdict(Enum):
    """What has become of a trial."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(kw_only=True)
class Trial:
    """The trial of one version; ``look`` again and again until there is a verdict."""

    redis: Redis
    instance_id: str
    instance_keys: InstanceKeys | None
    version: str
    #: Heartbeats of these runs of an agent are not the new version's; told by no clock, which may be set meanwhile.
    earlier_epochs: Sequence[str]
    probation_seconds: float
    reason: str = ""
    _left_seconds: float = field(init=False)
    _held_up_seconds: float = 0.0
    _looked_seconds: float = field(default_factory=monotonic_seconds)
    _self_test: SelfTest | None = None

    def __post_init__(self) -> None:
        self._left_seconds = self.probation_seconds

    def look(self) -> Verdict:
        """Look once; the time counts only while the new version could have shown something."""
        now = monotonic_seconds()
        passed_seconds, self._looked_seconds = now - self._looked_seconds, now
        try:
            verdict, is_held_up = self._judge()
        except (RedisUnreachable, RedisRefused) as exc:
            verdict, is_held_up = Verdict.OPEN, True
            self.reason = f"Redis does not serve: {exc}"
        if verdict is not Verdict.OPEN:
            return verdict
        if is_held_up:
            self._held_up_seconds += passed_seconds
            return Verdict.UNDECIDED if self._held_up_seconds > MOST_HELD_UP_SECONDS else Verdict.OPEN
        self._left_seconds -= passed_seconds
        return Verdict.FAILED if self._left_seconds <= 0 else Verdict.OPEN

    def _judge(self) -> tuple[Verdict, bool]:
        names = ("agent_version", "epoch", "running_count", "slots")
        found = self.redis.call("HMGET", keys.info(self.instance_id), *names)
        version, epoch, running_count, slots = ((part or b"").decode() for part in found)
        if version != self.version or epoch in self.earlier_epochs:
            self.reason = f"no heartbeat of it came within {self.probation_seconds:g} s"
            return Verdict.OPEN, False
        if self._self_test is None:
            life_seconds = self.probation_seconds + MOST_HELD_UP_SECONDS + _SPARE_SECONDS
            test = SelfTest(self.redis, self.instance_id, self.instance_keys, life_ms=int(life_seconds * 1000))
            test.begin()
            self._self_test = test
        outcome = self._self_test.verdict()
        if outcome == LOST:
            # Redis came back empty: that says nothing of the version, which is given another one.
            self._self_test, self.reason = None, LOST
            return Verdict.OPEN, False
        if outcome == "":
            return Verdict.PASSED, False
        if outcome is not None:
            self.reason = outcome
            return Verdict.FAILED, False
        self.reason = f"its self-test was not done within {self.probation_seconds:g} s"
        return Verdict.OPEN, bool(running_count) and int(running_count) >= int(slots or 0)
