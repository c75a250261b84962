"""End a script that must end: ask, wait, kill, look again until nothing is left, and keep evidence of each step."""

import contextlib
import math
import os
import signal

from ..record import Step
from ..verdict import EndReason
from .clocks import RunClock
from .tree import ScriptTree

#: Between two looks at what is left: short at first, since a killed tree is gone within a millisecond or two.
_FIRST_LOOK_SECONDS = 0.002
_LONGEST_LOOK_SECONDS = 0.1
#: A process in an uninterruptible wait cannot be killed; after this long it is reported as a survivor.
_GIVE_UP_SECONDS = 10.0


class Termination:
    """The end of one script, advanced by its supervisor's loop."""

    def __init__(
        self, reason: EndReason, tree: ScriptTree, clock: RunClock, *, kills_tree: bool, grace_seconds: float
    ) -> None:
        self.reason = reason
        self.steps: list[Step] = []
        self.survivors = 0
        self.is_done = False
        self._tree = tree
        self._clock = clock
        self._kills_tree = kills_tree
        self._is_killing = False
        self._look_seconds = _FIRST_LOOK_SECONDS
        self._give_up_at = math.inf
        self.due_at = clock.elapsed_seconds() + grace_seconds
        asked_at_ms = clock.now_ms()
        _raise_priority()
        count = tree.ask_all_to_end() if kills_tree else tree.signal_main(signal.SIGTERM)
        self.steps.append(Step("timeout" if reason == "timeout" else "stop requested", asked_at_ms, count))
        self._note(f"SIGTERM to the {self._whom}", count)

    def advance(self) -> None:
        """Do what is due; afterwards ``is_done``, or ``due_at`` says when to call again at the latest."""
        if self._is_over():
            self._finish()
            return
        now = self._clock.elapsed_seconds()
        if now < self.due_at:
            return
        if not self._is_killing:
            self._is_killing = True
            # Counted from here: the machine may have slept through all of it, and the clock has not.
            self._give_up_at = now + _GIVE_UP_SECONDS
            self._note(f"SIGKILL to the {self._whom}", len(self._tree.members()) if self._kills_tree else 1)
        if now >= self._give_up_at:
            self._finish()
            return
        if self._kills_tree:
            self._tree.kill_all()
        else:
            self._tree.signal_main(signal.SIGKILL)
        self._tree.reap()
        self.due_at = now + self._look_seconds
        self._look_seconds = min(self._look_seconds * 2, _LONGEST_LOOK_SECONDS)

    def _is_over(self) -> bool:
        return self._tree.is_empty() if self._kills_tree else self._tree.main_status is not None

    def _finish(self) -> None:
        self.is_done = True
        left_count = len(self._tree.members())
        # Whoever was not to end has not survived anything.
        self.survivors = left_count if self._kills_tree else int(self._tree.main_status is None)
        self._note("verified", left_count)
        _lower_priority()

    @property
    def _whom(self) -> str:
        return "process tree" if self._kills_tree else "main process"

    def _note(self, what: str, process_count: int) -> None:
        self.steps.append(Step(what, self._clock.now_ms(), process_count))


def _raise_priority() -> None:
    """Run before ordinary processes, where permitted: a fork storm must not starve the one who ends it."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def _lower_priority() -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
