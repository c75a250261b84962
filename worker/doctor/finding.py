"""What a look at one thing found."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    #: Works, and will not for long, or not as one may think.
    WARN = "warn"
    FAIL = "fail"
    #: Cannot be looked at, because something before it fails.
    SKIP = "skip"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    text: str
    #: What to do about it; "" when there is nothing to do.
    mend: str = ""


def ok(check: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(check, Verdict.OK, text)


def warn(check: str, text: str, mend: str) -> Finding:
    """It works, with a drawback."""
    return Finding(check, Verdict.WARN, text, mend)


def fail(check: str, text: str, mend: str) -> Finding:
    """It keeps the agent from being online."""
    return Finding(check, Verdict.FAIL, text, mend)


def skip(check: str, text: str) -> Finding:
    """It was not looked at."""
    return Finding(check, Verdict.SKIP, text)
