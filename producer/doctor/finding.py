"""What a check says."""

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: It works, and something is not as it should be, or could not be looked at.
    WARN = "warn"
    #: Work is lost, refused, or open to others until it is mended.
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor."""

    name: str
    status: Status
    text: str
    #: What to do; empty when nothing has to be done.
    mend: str = ""


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name, Status.OK, text)


def warn(name: str, text: str, mend: str) -> Finding:
    """Not as it should be."""
    return Finding(name, Status.WARN, text, mend)


def fail(name: str, text: str, mend: str) -> Finding:
    """To be mended."""
    return Finding(name, Status.FAIL, text, mend)
