"""The one source of "now": milliseconds since the epoch, UTC.

Deadlines in the ledger are judged by the Redis server's clock inside the functions, so that all parties share one;
this clock stamps what a process says about itself.
"""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def now_us() -> int:
    """Return the wall clock in microseconds since the epoch."""
    return time.time_ns() // 1_000


def monotonic_seconds() -> float:
    """Return a clock that never steps, for measuring waits."""
    return time.monotonic()


def iso_seconds(at_ms: int) -> str:
    """Render a moment as the API does, ``2026-01-01T00:00:00Z``; ``""`` for 0 (not set)."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else ""


def iso_minutes(at_ms: int) -> str:
    """Render a moment without seconds, the form of a command's ``CreationTime``; ``""`` for 0."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ") if at_ms else ""
