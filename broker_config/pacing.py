"""An invocation, or a firing of a timed one, that does not run everywhere at once: who waits for whom.

Its targets stand in as many lines as may run at once, and each waits for the end of the one before it in its line. So
no count has to be kept right by anybody, and what may run at once is never exceeded. Beats move what stands behind an
instance that takes long to lines that are done.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .records import Invocation, Pacing

#: What a beat that lets go who waits for its turn adds to its marks (``keys.beat_turn``); earlier ones do not.
LETS_GO = "lets-go"
#: An execution may wait no longer for its turn, nor an envelope be good for longer.
_LONGEST_MS = 30 * 86_400_000
#: What an execution takes beyond its own limits: to be noticed, ended, reported, and the next one let go.
_MARGIN_MS = 60_000


class Neighbours(NamedTuple):
    """The instances before and after one in its line; ``""`` for none."""

    before: str
    after: str


def lines(targets: Sequence[str], pacing: Pacing) -> dict[str, Neighbours]:
    """Put targets into lines, in their order: the first of each line come first."""
    width = pacing.at_once_count
    return {
        one: Neighbours(
            targets[place - width] if place >= width else "",
            targets[place + width] if place + width < len(targets) else "",
        )
        for place, one in enumerate(targets)
    }


def life_ms(invocation: Invocation, within_ms: int) -> int:
    """The time in which every execution must have been taken, when each one before it takes as long as it may."""
    script_ms = int((invocation.timeout_seconds + invocation.grace_seconds) * 1000)
    return life_of_lines_ms(invocation.pacing, invocation.target_count, within_ms=within_ms, script_ms=script_ms)


def life_of_lines_ms(pacing: Pacing | None, target_count: int, *, within_ms: int, script_ms: int) -> int:
    """The same by its parts: how many there are, the time for the delivery of each, and what its script may take."""
    if pacing is None:
        return within_ms
    turns_count = -(-target_count // pacing.at_once_count)
    return max(within_ms, min(_LONGEST_MS, within_ms + (turns_count - 1) * (within_ms + script_ms + _MARGIN_MS)))
