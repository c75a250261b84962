"""What a doctor says, in the same words: ``assist doctor`` of an installation, ``assist-agent doctor`` of one machine.

One check makes one finding. People read text, programs JSON, scripts the exit code; all three are made here.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from .printable import clean, clean_json

EXIT_FINE = 0
EXIT_UNREACHABLE = 3
EXIT_TO_MEND = 4

#: Room for the longest name of a check.
_CHECK_COLUMNS = 13
_REMEDY_INDENT = " " * (4 + 2 + _CHECK_COLUMNS + 2)


class Verdict(StrEnum):
    """How it is, from good to bad but for the last."""

    OK = "ok"
    #: It works, and is not as it should be, will not for long, or could not be looked at.
    WARN = "warn"
    #: Work is lost, refused, never begun, or open to others until it is fixed.
    FAIL = "fail"
    #: It was not looked at, because something before it fails.
    SKIP = "skip"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    text: str
    #: What to do about it; empty when there is nothing to do.
    mend: str = ""


def ok(check: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(check, Verdict.OK, text)


def warn(check: str, text: str, mend: str) -> Finding:
    """It works, with a drawback."""
    return Finding(check, Verdict.WARN, text, mend)


def fail(check: str, text: str, mend: str) -> Finding:
    """It has to be fixed."""
    return Finding(check, Verdict.FAIL, text, mend)


def skip(check: str, text: str) -> Finding:
    """It was not looked at."""
    return Finding(check, Verdict.SKIP, text)


def as_text(finding: Finding) -> str:
    """A finding for people: one line, and a second one with the remedy. The same in a terminal and in a pipe."""
    line = f"{finding.verdict.value:4}  {finding.check:{_CHECK_COLUMNS}}  {clean(finding.text)}"
    return f"{line}\n{_REMEDY_INDENT}mend: {clean(finding.mend)}" if finding.mend else line


def as_json(findings: Sequence[Finding]) -> str:
    """All findings for programs: one object with the worst verdict and the list."""
    worst = next(
        (one for one in (Verdict.FAIL, Verdict.WARN) if any(one is each.verdict for each in findings)), Verdict.OK
    )
    shown = {
        "Verdict": worst.value,
        "Findings": [
            {"Check": one.check, "Verdict": one.verdict.value, "Text": one.text, "Mend": one.mend} for one in findings
        ],
    }
    return clean_json(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())


def exit_code(findings: Sequence[Finding], way_to_redis: Collection[str]) -> int:
    """0: nothing fails; 3: one of the checks on the way to Redis fails; 4: something else fails."""
    failing = {one.check for one in findings if one.verdict is Verdict.FAIL}
    if failing & set(way_to_redis):
        return EXIT_UNREACHABLE
    return EXIT_TO_MEND if failing else EXIT_FINE
