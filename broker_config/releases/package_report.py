"""What an instance says of its packages, in its heartbeat."""

from enum import StrEnum

import msgspec

from ..untrusted_input import UntrustedDecoder

#: The field of the heartbeat.
REPORT_FIELD = "packages"


class PackageStatus(StrEnum):
    """Where a package stands on an instance, in the API's own words."""

    NOT_INSTALLED = "NotInstalled"
    #: Installed; there is no health script, or it has not run yet.
    INSTALLED = "Installed"
    #: Its health script succeeded when it last ran.
    RUNNING = "Running"
    #: Its health script failed when it last ran.
    CRASHED = "Crashed"
    REMOVED = "Removed"
    #: Something was under way and broke off, or the instance does not say.
    UNKNOWN = "Unknown"


class InstalledPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One package on an instance."""

    name: str
    version: str
    status: PackageStatus
    #: Why the last thing that was tried did not work; ``""`` when it did.
    reason: str = ""
    changed_ms: int = 0
    first_healthy_ms: int = 0
    last_healthy_ms: int = 0
    #: What it needs of others, so that none of these is removed before it.
    requires: tuple[str, ...] = ()


_decoder = UntrustedDecoder(msgspec.json.Decoder(list[InstalledPackage]))


def encode_report(packages: list[InstalledPackage]) -> bytes:
    """Write the report."""
    return msgspec.json.encode(packages)


def decode_report(data: bytes | str) -> list[InstalledPackage]:
    """Read a report; one that cannot be read says nothing."""
    try:
        return _decoder.decode(data) if data else []
    except msgspec.MsgspecError:
        return []
