"""The one source of "now": milliseconds since the epoch, UTC.

Deadlines in the ledger are judged by the Redis server's clock inside the functions, so that all parties share one;
this clock stamps what a process says about itself.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

_YEAR_10000_MS = 253_402_300_800_000


def now_ms() -> int:
    """Return the wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def now_us() -> int:
    """Return the wall clock in microseconds since the epoch."""
    return time.time_ns() // 1_000


def server_time_ms(reply: Sequence[bytes]) -> int:
    """Read Redis' reply to TIME, in the same unit."""
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


#: A clock that never steps, for measuring waits.
monotonic_seconds = time.monotonic


def iso_seconds(at_ms: int) -> str:
    """Render a moment as the API does, ``2026-01-01T00:00:00Z``; ``""`` for 0 (not set) and for no date at all."""
    return _rendered(at_ms, "%Y-%m-%dT%H:%M:%SZ")


def iso_minutes(at_ms: int) -> str:
    """Render a moment without seconds, the form of a command's ``CreationTime``; ``""`` as above."""
    return _rendered(at_ms, "%Y-%m-%dT%H:%MZ")


def _rendered(at_ms: int, form: str) -> str:
    return _of_second(at_ms // 1000, form) if 0 < at_ms < _YEAR_10000_MS else ""


@lru_cache(maxsize=1024)
def _of_second(at_seconds: int, form: str) -> str:
    """What the rows of one invocation have in common is rendered once for all of them."""
    return datetime.fromtimestamp(at_seconds, UTC).strftime(form)
