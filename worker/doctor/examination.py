"""Look at everything, and tell it."""

from collections.abc import Iterator, Sequence

import msgspec

from ...broker_config.settings_table import Settings
from .finding import Finding, Verdict
from .machine_checks import machine_findings
from .network_checks import network_findings

_REDIS_CHECKS = {"name", "port", "tls", "sign-in"}
EXIT_FINE = 0
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4


def examine(settings: Settings) -> Iterator[Finding]:
    """Each finding as soon as it is there."""
    yield from machine_findings(settings)
    yield from network_findings(settings)


def exit_code(findings: Sequence[Finding]) -> int:
    """0: nothing fails; 3: Redis is not reached; 4: something else fails."""
    failing = {finding.check for finding in findings if finding.verdict is Verdict.FAIL}
    if failing & _REDIS_CHECKS:
        return EXIT_UNREACHABLE
    return EXIT_REFUSED if failing else EXIT_FINE


def line(finding: Finding) -> str:
    """A finding for people."""
    text = f"{finding.verdict.value:4}  {finding.check:10} {finding.text}"
    return f"{text}\n{'':17}mend: {finding.mend}" if finding.mend else text


def as_json(findings: Sequence[Finding]) -> str:
    """All findings for machines."""
    shown = {
        "Online": exit_code(findings) == EXIT_FINE,
        "Findings": [
            {"Check": one.check, "Verdict": one.verdict.value, "Text": one.text, "Mend": one.mend} for one in findings
        ],
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
