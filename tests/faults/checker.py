"""Compare what was asked for with what the ledger says and with what scripts really did. Pure.

Scripts leave traces in files that nothing of ours writes: a line when they start, a line when they end, and a copy of
all that they print. Whatever the product believes, those files tell what happened.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.results import ExecutionRow, Outcome
from cloud_assistant.broker_config.states import ExecutionState as S
from cloud_assistant.broker_config.states import is_final
from cloud_assistant.broker_config.timed.firing_rows import Firing

#: Of what is ended by force the moment is noted first, and is that of another process' clock.
_MAY_END_MS = 2_000


class Line(StrEnum):
    """The lines of the checker; each is one sentence that must hold."""

    STARTED_ONCE = "a script starts at most once"
    ASKED_FOR = "nothing runs that nobody asked for"
    NOT_FORGED = "what no producer signed never starts"
    NOT_LOST = "an accepted request has a row"
    FINAL = "past its deadline a row is final"
    REASON = "an end that is no success says why"
    RAN_AS_SAID = "a row that says 'ran' or 'never ran' is right"
    RESULT_KEPT = "a script that ran to its end is reported as it ended"
    EXIT_CODE = "the exit code is the script's"
    OUTPUT = "the output is what the script wrote"
    SIGNED = "an agent's word carries the signature of its instance"
    STOPPED = "only what was to be stopped was, and nothing of it survives"
    ENDED = "a script does nothing after its end was told"
    DUE_ONCE = "each due time has one row"
    DUE_ONLY = "there is no row for a moment that is no due time"
    PACED = "no more of an invocation run at once than was asked for"
    NO_PROCESS = "no process of a script is left"
    NO_SPOOL = "nothing is left in a spool"
    NO_KEY = "no key is left"
    NO_MESSAGE = "no message is left"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One execution that somebody asked for."""

    execution_id: str
    exit_code: int = 0
    #: False when the producer got an error: there may or may not be a row, and still no second start.
    is_accepted: bool = True
    is_stop_asked: bool = False
    is_to_time_out: bool = False
    #: Written into Redis by somebody who has no key.
    is_forged: bool = False


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What one script left behind."""

    start_count: int = 0
    end_count: int = 0
    #: All that it printed, as far as it came.
    written: bytes = b""
    #: When it last left anything.
    last_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A timed invocation and the due times that have passed."""

    invoke_id: str
    due_ms: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What the scripts of one invocation have written into one file: ``begin`` and ``end``, each with its execution."""

    at_once_count: int
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that the checker looks at."""

    requests: Sequence[Request]
    rows: Mapping[str, ExecutionRow]
    traces: Mapping[str, Traces]
    now_ms: int
    planned: Sequence[Planned] = ()
    firings: Mapping[str, Sequence[Firing]] = field(default_factory=dict)
    #: Of invocations that do not run everywhere at once.
    turns: Sequence[Turns] = ()
    #: Executions whose supervisor was killed, or whose machine was restarted: nobody can know how they ended.
    broken_on_purpose: frozenset[str] = frozenset()
    #: Executions whose end an agent wrote without the signature of its instance.
    unsigned: Sequence[str] = ()
    processes: Sequence[str] = ()
    spool_entries: Sequence[str] = ()
    keys: Sequence[str] = ()
    messages: Sequence[str] = ()


@dataclass(frozen=True)
class Violation:
    """One sentence that does not hold, and for what."""

    line: Line
    what: str


def check(evidence: Evidence) -> list[Violation]:
    """Return every violation; an empty list is what the promises are about."""
    return [
        *_checked_traces(evidence),
        *(violation for request in evidence.requests for violation in _checked_request(request, evidence)),
        *_checked_firings(evidence),
        *(violation for turns in evidence.turns for violation in _checked_turns(turns)),
        *_checked_leftovers(evidence),
    ]


def counts(violations: Sequence[Violation]) -> dict[Line, int]:
    """How often each line was violated, zero included."""
    found = Counter(violation.line for violation in violations)
    return {line: found[line] for line in Line}


def _checked_traces(evidence: Evidence) -> Iterator[Violation]:
    asked = {request.execution_id for request in evidence.requests}
    fired = {(one.invoke_id, one.due_ms) for rows in evidence.firings.values() for one in rows}
    for execution_id, traces in evidence.traces.items():
        if traces.start_count > 1:
            yield Violation(Line.STARTED_ONCE, f"{execution_id} started {traces.start_count} times")
        row = evidence.rows.get(execution_id)
        is_of_firing = row is not None and (row.invoke_id, row.firing_ms) in fired
        if execution_id not in asked and not is_of_firing:
            yield Violation(Line.ASKED_FOR, execution_id)


def _checked_request(request: Request, evidence: Evidence) -> Iterator[Violation]:
    row = evidence.rows.get(request.execution_id)
    if request.is_forged and evidence.traces.get(request.execution_id, Traces()).start_count:
        yield Violation(Line.NOT_FORGED, request.execution_id)
    if row is None:
        if request.is_accepted:
            yield Violation(Line.NOT_LOST, request.execution_id)
        return
    if not is_final(row.state):
        if row.deadline_ms < evidence.now_ms:
            yield Violation(Line.FINAL, f"{request.execution_id} is {row.state}, deadline {row.deadline_ms}")
        return
    traces = evidence.traces.get(request.execution_id, Traces())
    is_broken = request.execution_id in evidence.broken_on_purpose
    yield from _checked_end(request, row.outcome, traces, is_broken=is_broken)


def _checked_end(request: Request, end: Outcome, traces: Traces, *, is_broken: bool) -> Iterator[Violation]:
    shown = f"{request.execution_id}: {end.state} {end.error_code} {end.error_info}"
    if end.state not in (S.SUCCESS, S.CANCELLED, S.TERMINATED) and not end.error_code:
        yield Violation(Line.REASON, shown)
    if traces.start_count and _says_never_ran(end):
        yield Violation(Line.RAN_AS_SAID, f"{shown}, and it ran")
    if end.state in (S.SUCCESS, S.FAILED):
        if (traces.start_count, traces.end_count) != (1, 1):
            yield Violation(Line.RAN_AS_SAID, f"{shown}, starts {traces.start_count}, ends {traces.end_count}")
        if end.exit_code != request.exit_code:
            yield Violation(Line.EXIT_CODE, f"{shown}: {end.exit_code} instead of {request.exit_code}")
    elif not is_broken:
        yield from _checked_broken_off(request, end, traces, shown)
    if not _is_written(end, traces.written):
        yield Violation(Line.OUTPUT, f"{shown}: {len(end.output.data)} bytes, written {len(traces.written)}")
    yield from _checked_stop(request, end, shown)
    # Who was given up without a word from its agent may still be at work.
    if end.state != S.ABORTED and end.finished_ms and traces.last_ms > end.finished_ms + _MAY_END_MS:
        yield Violation(Line.ENDED, f"{shown}: {traces.last_ms - end.finished_ms} ms after that it was at work")


def _checked_broken_off(request: Request, end: Outcome, traces: Traces, shown: str) -> Iterator[Violation]:
    """What was not broken by force is reported as it ended."""
    if traces.end_count and not (request.is_stop_asked or request.is_to_time_out):
        yield Violation(Line.RESULT_KEPT, f"{shown}, and it ran to its end")
    elif traces.start_count and _says_nobody_knows(end):
        yield Violation(Line.RESULT_KEPT, f"{shown}, and nothing was done to its supervisor")


def _checked_stop(request: Request, end: Outcome, shown: str) -> Iterator[Violation]:
    if end.state == S.TERMINATED and not request.is_stop_asked:
        yield Violation(Line.STOPPED, f"{shown}: nobody asked for it")
    if end.state == S.TIMEOUT and not request.is_to_time_out:
        yield Violation(Line.STOPPED, f"{shown}: its time was not up")
    if end.survivors:
        yield Violation(Line.STOPPED, f"{shown}: {end.survivors} processes survived")


def _says_never_ran(end: Outcome) -> bool:
    return (
        end.state in (S.CANCELLED, S.INVALID)
        or end.error_code in (ErrorCode.DELIVERY_TIMEOUT, ErrorCode.CLIENT_NOT_RUNNING)
        or "never ran" in end.error_info
    )


def _says_nobody_knows(end: Outcome) -> bool:
    return end.error_code in (ErrorCode.CLIENT_NOT_RESPONSE, ErrorCode.EXECUTION_INTERRUPTED)


def _is_written(end: Outcome, written: bytes) -> bool:
    """Whether the kept output is the written one: whole where the script ended, its beginning where it was ended.

    Scripts write the copy first and print then, so what was printed is never more than the copy.
    """
    kept = end.output
    if end.state not in (S.SUCCESS, S.FAILED):
        head = kept.data[: kept.gap_at] if kept.dropped_bytes else kept.data
        return written.startswith(head)
    if not kept.dropped_bytes:
        return kept.data == written
    head, tail = kept.data[: kept.gap_at], kept.data[kept.gap_at :]
    is_whole = len(written) == len(kept.data) + kept.dropped_bytes
    return is_whole and written.startswith(head) and written.endswith(tail)


def _checked_firings(evidence: Evidence) -> Iterator[Violation]:
    for planned in evidence.planned:
        rows = evidence.firings.get(planned.invoke_id, ())
        for due_ms in planned.due_ms:
            count = sum(row.due_ms <= due_ms <= row.until_ms for row in rows)
            if count != 1:
                yield Violation(Line.DUE_ONCE, f"{planned.invoke_id} due {due_ms} has {count} rows")
        # Before the first and after the last of them nothing is known of the calendar here.
        known = set(planned.due_ms)
        first, last = min(known, default=0), max(known, default=-1)
        for row in rows:
            if first <= row.due_ms <= last and row.due_ms not in known:
                yield Violation(Line.DUE_ONLY, f"{planned.invoke_id} has a row for {row.due_ms}")


def _checked_turns(turns: Turns) -> Iterator[Violation]:
    """Whoever has written no end was killed, nobody knows when."""
    ends = {execution: place for place, (word, execution) in enumerate(turns.lines) if word == "end"}
    running: list[str] = []
    for place, (word, execution) in enumerate(turns.lines):
        if word != "begin":
            continue
        running = [one for one in running if ends.get(one, 0) > place]
        if len(running) >= turns.at_once_count:
            yield Violation(Line.PACED, f"{execution} began while {', '.join(running)} ran")
        running.append(execution)


def _checked_leftovers(evidence: Evidence) -> Iterator[Violation]:
    for line, found in (
        (Line.SIGNED, evidence.unsigned),
        (Line.NO_PROCESS, evidence.processes),
        (Line.NO_SPOOL, evidence.spool_entries),
        (Line.NO_KEY, evidence.keys),
        (Line.NO_MESSAGE, evidence.messages),
    ):
        for one in found:
            yield Violation(line, one)
