"""Print one target's output, each byte once: pieces as they come, then from the result what no piece had."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from ....broker_config.programs.counted import counted
from ....broker_config.results import STDERR, STDOUT, KeptStreams
from ...following.waiting import Output
from ..call import Call

#: In a pipe, pieces behind a gap wait for the result, which may fill it; more bytes than these no result keeps.
_HELD_BYTES = 64 * 1024
#: Why bytes are missing: between pieces that came live, and in the result.
_SENT = "while a script runs, an agent sends agent.live_output_bytes at a time"
_KEPT = "an agent keeps agent.output_limit_bytes"


class OutputPrinter:
    """Sends a script's standard output to ours and its standard error to ours, byte by byte as they were written."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._at_bytes = 0
        self._must_be_exact = not sys.stdout.isatty()
        self._held: list[Output] = []

    def piece(self, event: Output) -> None:
        """Print a live piece, or hold it where a reader relies on our output being whole."""
        if self._held or (self._must_be_exact and event.offset_bytes > self._at_bytes):
            self._held.append(event)
            if sum(len(one.data) for one in self._held) > _HELD_BYTES:
                self._release()
            return
        self._print(event.offset_bytes, event.data, event.runs, _SENT)

    def rest(self, kept: KeptStreams) -> None:
        """Print what the result has beyond the pieces, and say how much is nowhere."""
        segments = [(one.offset_bytes, one.data, one.runs) for one in self._held]
        head_bytes = kept.gap_at if kept.dropped_bytes else len(kept.data)
        at_bytes = 0
        for stream, data in _cut_at(frames_of(kept.data, kept.runs), head_bytes):
            if at_bytes == head_bytes:
                at_bytes += kept.dropped_bytes
            segments.append((at_bytes, data, ((stream, len(data)),)))
            at_bytes += len(data)
        for offset_bytes, data, runs in sorted(segments, key=itemgetter(0)):
            self._print(offset_bytes, data, runs, _KEPT)

    def _release(self) -> None:
        """Print what was held: the gap before it cannot be filled."""
        held, self._held = self._held, []
        for one in held:
            self._print(one.offset_bytes, one.data, one.runs, _SENT)

    def _print(self, offset_bytes: int, data: bytes, runs: Sequence[tuple[int, int]], why: str) -> None:
        if offset_bytes > self._at_bytes:
            missing = counted(offset_bytes - self._at_bytes, "byte")
            self._call.say(f"assist: {missing} of output not shown here ({why})")
            self._at_bytes = offset_bytes
        known_bytes = self._at_bytes - offset_bytes
        for stream, part in frames_of(data, runs):
            fresh = part[known_bytes:]
            known_bytes = max(0, known_bytes - len(part))
            if fresh and stream == STDERR:
                self._call.say_bytes(fresh)
            elif fresh:
                self._call.print_bytes(fresh)
            self._at_bytes += len(fresh)


def frames_of(data: bytes, runs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Cut output into (stream, bytes); without runs all of it is standard output."""
    if not runs:
        yield STDOUT, data
        return
    position = 0
    for stream, count in runs:
        yield stream, data[position : position + count]
        position += count


def _cut_at(frames: Iterable[tuple[int, bytes]], where: int) -> Iterator[tuple[int, bytes]]:
    """The frames, one of them in two where a position lies inside it."""
    position = 0
    for stream, data in frames:
        inside = where - position
        if 0 < inside < len(data):
            yield stream, data[:inside]
            yield stream, data[inside:]
        elif data:
            yield stream, data
        position += len(data)
