"""Invocations that this process made a moment ago, so that waiting for one needs no look-up of it first."""

import threading
from collections.abc import Callable, Sequence

import msgspec

from ...broker_config.dispatch import Dispatched
from ...broker_config.ledger import InvocationStatus, StoredInvocation, load_invocation
from ...broker_config.redis.client import Redis
from ..argument_kinds import INVOKE_ID, must_be
from .announcements import Announcements, Box

_MOST_COUNT = 512
#: Of an invocation with more targets they are read again: a hundred large ones would fill the memory.
_MOST_TARGETS_COUNT = 100


class Recent(msgspec.Struct, frozen=True):
    """An invocation, and its targets in their order where this process knows them; empty when they have to be read."""

    stored: StoredInvocation
    targets: Sequence[str] = ()
    #: What was stored of it when its last target had ended and somebody followed it here.
    settled: InvocationStatus | None = None


class RecentInvocations:
    """The last few invocations of this process. Safe to share between threads."""

    def __init__(self, redis: Redis, announcements: Announcements) -> None:
        self._redis = redis
        self._announcements = announcements
        #: Held where what was made last is changed: who lets go of the oldest must not find another one under way.
        self._lock = threading.RLock()
        self._made: dict[str, Recent] = {}
        #: What was announced of them since before they were dispatched, until somebody waits.
        self._boxes: dict[str, Box] = {}

    def make(self, stored: StoredInvocation, targets: Sequence[str], dispatch: Callable[[], Dispatched]) -> None:
        """Have a one-off invocation dispatched, and keep it."""
        invoke_id = stored.record.invoke_id
        few = targets if len(targets) <= _MOST_TARGETS_COUNT else ()
        box = self._announcements.expect(invoke_id) if few else None
        try:
            dispatched = dispatch()
        except BaseException:
            self._leave(box)
            raise
        if box is not None and dispatched.created_count == len(targets):
            self._boxes[invoke_id] = box
        else:
            # Some have ended already, or are written later by whoever completes this.
            self._leave(box)
        with self._lock:
            self._made[invoke_id] = Recent(stored, few)
            if len(self._made) > _MOST_COUNT:
                self.forget(next(iter(self._made)))

    def take_box(self, invoke_id: str, *, with_output: bool) -> Box | None:
        """What was announced since before the dispatch, for a caller that waits, which has to ``listen`` with it."""
        box = self._boxes.pop(invoke_id, None)
        if box is not None and with_output and not box.wants_output:
            self._leave(box)
            return None
        return box

    def note_settled(self, invoke_id: str, status: InvocationStatus | None) -> None:
        """Remember what was stored of one that is over; ``None`` when nothing was."""
        with self._lock:
            recent = self._made.get(invoke_id)
            if recent is not None and status is not None:
                self._made[invoke_id] = msgspec.structs.replace(recent, settled=status)

    def forget(self, invoke_id: str) -> None:
        """Let go of one that has ended."""
        with self._lock:
            self._made.pop(invoke_id, None)
        self._leave(self._boxes.pop(invoke_id, None))

    def _leave(self, box: Box | None) -> None:
        if box is not None:
            self._announcements.leave(box)

    def find(self, invoke_id: str) -> Recent:
        """Return an invocation, remembered or read.

        Raises:
            NotFound: no such invocation.
        """
        must_be(str, invoke_id, "invoke_id", INVOKE_ID)
        return self._made.get(invoke_id) or Recent(load_invocation(self._redis, invoke_id))
