"""Ask for executions without a pause, of every kind, and stop some of them."""

import random
import threading
from collections import Counter
from queue import Empty, SimpleQueue

from faults.scene import REDIS_TROUBLE, Scene
from faults.scripts import BINARY, CHATTY, ENDLESS, FAILING, LONG, QUICK, SILENT, SLOW, TIMED_OUT, Script

from cloud_assistant.broker_config.clock import monotonic_seconds

_KINDS: dict[Script, int] = {
    QUICK: 60,
    FAILING: 10,
    CHATTY: 8,
    BINARY: 6,
    LONG: 6,
    SILENT: 3,
    TIMED_OUT: 2,
    ENDLESS: 3,
}
#: An instance that is known and never comes.
OFFLINE = "i-offline"
_OFFLINE_SHARE = 0.02
#: Requests for several instances, a few at a time; each is so many executions.
_PACED_SHARE = 0.02
_PACED_TARGETS_COUNT = 3
_AT_ONCE_COUNTS = (1, 2)
_OFFLINE_WITHIN_SECONDS = 2
#: Long enough for every fault; what an agent cannot take by then would be the product's fault.
_WITHIN_SECONDS = 300
_STOP_AFTER_SECONDS = (0.0, 2.5)
_RETRY_SECONDS = 0.2


class Workload:
    """Asks at a steady rate until told to end."""

    def __init__(self, scene: Scene, instance_ids: list[str], *, seed: int, per_second: float) -> None:
        self._scene = scene
        self._instance_ids = instance_ids
        self._dice = random.Random(f"{seed}/workload")
        self._interval_seconds = 1 / per_second
        self._ending = threading.Event()
        self._to_stop: SimpleQueue[tuple[float, str]] = SimpleQueue()
        self.counts: Counter[str] = Counter()
        self.refused_count = 0

    @property
    def asked_count(self) -> int:
        """How many requests Redis has confirmed."""
        return self.counts.total()

    def end(self) -> None:
        """Ask for nothing more."""
        self._ending.set()

    def ask(self) -> None:
        """Ask until told to end; a request that Redis did not confirm is not asked again."""
        next_at = monotonic_seconds()
        while not self._ending.is_set():
            self._ask_once()
            next_at = max(next_at + self._interval_seconds, monotonic_seconds() - 1.0)
            self._ending.wait(max(0.0, next_at - monotonic_seconds()))

    def stop(self) -> None:
        """Stop what is to be stopped, each again and again until Redis confirms; ends when all of it is done."""
        while True:
            try:
                at_seconds, name = self._to_stop.get(timeout=0.2)
            except Empty:
                if self._ending.is_set():
                    return
                continue
            threading.Event().wait(max(0.0, at_seconds - monotonic_seconds()))
            self._stop_once(name)

    def _ask_once(self) -> None:
        if self._dice.random() < _PACED_SHARE:
            self._ask_paced()
            return
        is_offline = self._dice.random() < _OFFLINE_SHARE
        script = QUICK if is_offline else self._dice.choices(list(_KINDS), list(_KINDS.values()))[0]
        instance_id = OFFLINE if is_offline else self._dice.choice(self._instance_ids)
        delay_seconds = self._dice.uniform(*_STOP_AFTER_SECONDS)
        try:
            name = self._scene.ask(
                script, instance_id, deliver_within_seconds=_OFFLINE_WITHIN_SECONDS if is_offline else _WITHIN_SECONDS
            )
        except REDIS_TROUBLE:
            self.refused_count += 1
            return
        self.counts["offline target" if is_offline else script.name] += 1
        if script is ENDLESS:
            self._to_stop.put((monotonic_seconds() + delay_seconds, name))

    def _ask_paced(self) -> None:
        targets = self._dice.sample(self._instance_ids, min(_PACED_TARGETS_COUNT, len(self._instance_ids)))
        try:
            names = self._scene.ask_many(
                SLOW, targets, deliver_within_seconds=_WITHIN_SECONDS, at_once_count=self._dice.choice(_AT_ONCE_COUNTS)
            )
        except REDIS_TROUBLE:
            self.refused_count += 1
            return
        self.counts["a few at a time"] += len(names)

    def _stop_once(self, name: str) -> None:
        try:
            self._scene.stop(name)
        except REDIS_TROUBLE:
            self._to_stop.put((monotonic_seconds() + _RETRY_SECONDS, name))
