"""Wait for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T | None], within_seconds: float = 10, what: str = "", every_seconds: float = 0.02
) -> T:
    """Return the first truthy value of ``predicate``, asked again and again.

    An AssertionError inside ``predicate`` counts as "not yet"; any other exception ends the wait at once, since
    a broken predicate would otherwise look like a slow system.

    Raises:
        AssertionError: nothing truthy came in time; the text has ``what`` and the last value or failure.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        failure: AssertionError | None = None
        value: T | None = None
        try:
            value = predicate()
        except AssertionError as exc:
            failure = exc
        if value:
            return value
        if time.monotonic() >= deadline:
            last = f"last failure: {failure}" if failure else f"last value: {value!r}"
            raise AssertionError(f"not within {within_seconds:g} s: {what or 'the condition'} ({last})") from failure
        time.sleep(every_seconds)


def always(predicate: Callable[[], object], for_seconds: float, what: str = "", every_seconds: float = 0.02) -> None:
    """Check that ``predicate`` stays truthy for the whole time; for "this must not happen".

    Raises:
        AssertionError: it was falsy once; the text says when.
    """
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < for_seconds:
        value = predicate()
        if not value:
            raise AssertionError(f"no longer true after {elapsed:.2f} s: {what or 'the condition'} (value: {value!r})")
        time.sleep(every_seconds)
