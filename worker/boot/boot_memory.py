"""How the journal remembers what ran because the machine started, so that Redis cannot have it run again."""

from ...broker_config.messages import Envelope
from ...broker_config.timed.boot_bound import NEXT_BOOT_FIRING_MS

#: Longer than nearly every machine runs without a restart, and an end all the same.
BOOT_REMEMBERED_MS = 400 * 24 * 3600 * 1000


def boot_name(envelope: Envelope, boot_id: str) -> str:
    """The journal's name for the one run that an envelope is good for: at this boot, or ever."""
    if envelope.firing_ms == NEXT_BOOT_FIRING_MS:
        return f"{envelope.invoke_id}.next-boot"
    return f"{envelope.invoke_id}.boot.{boot_id}"


def is_boot_name(name: str) -> bool:
    """Tell whether a name of the journal is one that ``boot_name`` made, and not that of an execution."""
    return "@" not in name


def invocation_of(name: str) -> str:
    """Return the invocation that a name of the journal belongs to."""
    return name.partition(".")[0]
