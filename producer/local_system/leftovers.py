"""End what an `assist up` that was killed has left running."""

import signal
import time

from ...broker_config.clock import monotonic_seconds
from .home_lock import RunningChild, UpNote
from .process_identity import identity_of, send

#: A server writes its last data out in this time; a healthy program is much faster.
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05


def end_leftovers(note: UpNote | None) -> list[str]:
    """End the programs of an earlier run that still live, and return their names.

    On Linux they have got a SIGTERM from the kernel already and may be on their way; elsewhere they live on.
    Afterwards none of them runs: a second server on the same files would destroy them.
    """
    alive = [child for child in (note.children if note else []) if _lives(child)]
    for child in alive:
        send(child.pid, signal.SIGTERM)
    deadline = monotonic_seconds() + _GRACE_SECONDS
    while any(_lives(child) for child in alive) and monotonic_seconds() < deadline:
        time.sleep(_POLL_SECONDS)
    for child in alive:
        if _lives(child):
            send(child.pid, signal.SIGKILL)
    while any(_lives(child) for child in alive):
        time.sleep(_POLL_SECONDS)
    return [child.name for child in alive]


def _lives(child: RunningChild) -> bool:
    return identity_of(child.pid) == child.identity
