"""Repeated work beside the due times: sweeping, noting boots, retention. A thread of its own does it.

Several beats share it: whoever takes the turn does it, and if that one dies the next turn is another's. Each piece is
safe to be done by two at once, so the turn only saves work.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..broker_config import keys
from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.pacing import LETS_GO
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.remedies import with_remedy

#: A turn is over a little before the next is due, so that one beat alone never misses its own.
_TURN_SHARE = 0.9

_log = logger("beat")


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of repeated work."""

    name: str
    every_seconds: float
    do: Callable[[], None]
    #: It wants the master key, which is not here: what is left of it is no reason for others to leave it out.
    keyless: bool = False


class Maintenance:
    """Does each piece of work at its interval until it is closed."""

    def __init__(self, redis: Redis, token: str, works: Sequence[Work]) -> None:
        self._redis = redis
        self._mark = f"{token} {LETS_GO}"
        self._works = works
        self._next = dict.fromkeys((work.name for work in works), monotonic_seconds())
        self._is_closed = threading.Event()
        #: What was refused when it was done last, and how.
        self._troubles: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, within_seconds: float = 2.0) -> None:
        """Ask for the end; what is under way may be cut off, that does no harm."""
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)

    def _run(self) -> None:
        while not self._is_closed.wait(max(0.0, min(self._next.values()) - monotonic_seconds())):
            now = monotonic_seconds()
            for work in self._works:
                if self._next[work.name] <= now and not self._is_closed.is_set():
                    self._next[work.name] = now + work.every_seconds
                    self._do(work)

    def _do(self, work: Work) -> None:
        try:
            turn_ms = max(1, int(work.every_seconds * 1000 * _TURN_SHARE))
            turn = keys.keyless_beat_turn(work.name) if work.keyless else keys.beat_turn(work.name)
            if self._redis.call("SET", turn, self._mark, "NX", "PX", turn_ms) is not None:
                work.do()
                self._troubles.pop(work.name, None)
        except (RedisUnreachable, RedisRefused) as exc:
            trouble = with_remedy(exc)
            # Once, also where it ends all of them, and where the others go well.
            if trouble not in self._troubles.values():
                _log.warning("could not %s: %s", work.name, trouble)
            self._troubles[work.name] = trouble
        except Exception:  # noqa: BLE001  # outermost: a defect in one piece of work must not end the others
            _log.exception("could not %s", work.name)
