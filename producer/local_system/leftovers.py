"""End what an `assist up` that was killed has left running."""

import signal
import time
from collections.abc import Sequence

from ...broker_config.clock import monotonic_seconds
from .home_lock import RunningChild, UpNote
from .process_identity import identity_of, send

#: A server writes its last data out in this time; a healthy program is much faster.
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05


def leftovers_of(note: UpNote | None) -> list[RunningChild]:
    """The programs of an earlier run that still live.

    On Linux they have got a SIGTERM from the kernel already and may be on their way; elsewhere they live on.
    """
    return [child for child in (note.children if note else []) if _lives(child)]


def end_leftovers(alive: Sequence[RunningChild]) -> None:
    """End them; none runs afterwards, because a second server on the same files would destroy them."""
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


def _lives(child: RunningChild) -> bool:
    return identity_of(child.pid) == child.identity
