"""Whether Redis can be reached, said once per change; what has to happen when it is back."""

import threading
from collections.abc import Callable

from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.programs.program_log import logger

_log = logger("redis")

RedisTrouble = RedisUnreachable | RedisRefused
#: For ``except``: everything that Redis, or the lack of it, can do to a call.
REDIS_TROUBLE = (RedisUnreachable, RedisRefused)

_REMEDIES = {
    "unreachable": "",
    "LOADING": "; it is reading its data",
    "WRONGPASS": (
        "; user or password in its redis_url are not accepted, or no longer: start it with the file of its newest"
        " credentials (on the control side: assist instance rotate ID --credentials FILE)"
    ),
    "NOAUTH": "; put user and password into its redis_url, or register this machine",
    "NOPERM": "; give this agent's Redis user the rights of its own branch, or have a producer load the functions",
    "OLDFUNCTIONS": "",
    "NEWFUNCTIONS": "",
    "OOM": "; results wait on this disk until Redis has memory again",
    "MISCONF": "; Redis cannot write to its disk",
    "READONLY": "; the address names a replica",
    "MASTERDOWN": "; the replica there has lost its master",
    "NOREPLICAS": "; Redis misses its replicas",
    "BUSY": "; a script keeps it busy",
}


class LinkState:
    """Shared by all threads of an agent: they tell it what they saw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problem = ""
        self._since_seconds = 0.0
        self._on_return: list[Callable[[float], None]] = []

    @property
    def is_up(self) -> bool:
        """Whether the last thing anybody saw was an answer."""
        return not self._problem

    def on_return(self, action: Callable[[float], None]) -> None:
        """Have an action called when Redis is back, in the thread that notices, with the moment it was missed first."""
        self._on_return.append(action)

    def note_failure(self, exc: RedisTrouble) -> None:
        """Record that Redis did not serve us; logged when that is new."""
        problem = exc.kind if isinstance(exc, RedisRefused) else "unreachable"
        with self._lock:
            is_new = problem != self._problem
            if not self._problem:
                self._since_seconds = monotonic_seconds()
            self._problem = problem
        if is_new:
            text = str(exc).rstrip(".")
            _log.warning("Redis does not serve this agent, which keeps trying: %s%s", text, _REMEDIES.get(problem, ""))

    def note_success(self) -> None:
        """Record that Redis served us; logged, and acted upon, when that is new."""
        with self._lock:
            if not self._problem:
                return
            self._problem = ""
            since_seconds = self._since_seconds
        _log.info("Redis is back away_seconds=%.1f", monotonic_seconds() - since_seconds)
        for action in self._on_return:
            action(since_seconds)


def concerns_all(exc: RedisTrouble) -> bool:
    """Tell whether Redis would answer any other call in the same way now."""
    return isinstance(exc, RedisUnreachable) or exc.kind in _REMEDIES
