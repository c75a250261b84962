"""Look at everything between this machine and its work."""

from collections.abc import Iterator

from ...broker_config.programs.findings import Finding
from ...broker_config.settings_table import Settings
from .machine_checks import machine_findings
from .network_checks import network_findings

#: Where one of these fails, Redis is not reached.
WAY_TO_REDIS = ("name", "port", "tls", "sign-in")


def examine(settings: Settings) -> Iterator[Finding]:
    """Each finding as soon as it is there."""
    yield from machine_findings(settings)
    yield from network_findings(settings)
