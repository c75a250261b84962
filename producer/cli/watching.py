"""Wait for an invocation in front of somebody: output or progress as it happens, the results at the end."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing, suppress

from ...broker_config.errors import CloudAssistantError, WaitTimedOut
from ...broker_config.programs.counted import counted
from ...broker_config.results import ExecutionRow
from ...broker_config.states import ExecutionState
from ..following.waiting import Ended, Event, Output
from ..invocations.invoked import Finished
from ..shapes import Shape
from .call import Call
from .exit_codes import DONE, SCRIPT_FAILED
from .failures import Detached
from .printing.answers import invocation_object
from .printing.output_printer import OutputPrinter
from .printing.progress_line import ProgressLine, bar
from .printing.result_text import grouped, one_line
from .printing.text_cells import by_state
from .verbs.invocation_state import one_invocation


def watch(call: Call, invoke_id: str, target_count: int, timeout_seconds: float | None) -> int:
    """Wait for the end of every target, show what came of it, and answer the exit code.

    A single target's output is shown as it comes, unless the answer is for a program.

    Raises:
        NotFound, WaitTimedOut, Detached: as ``wait_for_end``.
    """
    rows = wait_for_end(call, invoke_id, target_count, timeout_seconds, live=streams(call, target_count))
    _show(call, call.assistant.sum_up(invoke_id, rows))
    return exit_code_of(rows)


def streams(call: Call, target_count: int) -> bool:
    """Whether output is shown as it comes: of a single target, unless the answer is for a program."""
    return target_count == 1 and not call.wants_json


def wait_for_end(
    call: Call,
    invoke_id: str,
    target_count: int,
    timeout_seconds: float | None,
    *,
    only: Collection[str] = (),
    live: bool = False,
) -> list[ExecutionRow]:
    """Wait until every target, or every one of ``only``, has ended; answer their results in the order they came.

    Raises:
        NotFound: no such invocation.
        WaitTimedOut: the time was up; for a program, the state so far was written first.
        Detached: Ctrl-C; for a program, the same.
    """
    missing = set(only)
    watcher = _Watcher(call, len(missing) or target_count, live=live)
    events = call.assistant.follow(invoke_id, timeout_seconds=timeout_seconds, live=live)
    try:
        with closing(watcher):
            for event in events:
                watcher.see(event)
                if missing and isinstance(event, Ended):
                    missing.discard(event.row.instance_id)
                    if not missing:
                        break
    except KeyboardInterrupt:
        _print_so_far(call, invoke_id)
        raise Detached(invoke_id) from None
    except WaitTimedOut as exc:
        _print_so_far(call, invoke_id)
        raise WaitTimedOut(f"{exc}; watch on with: assist invocation follow {invoke_id}") from exc
    return watcher.rows


def _print_so_far(call: Call, invoke_id: str) -> None:
    """Leave a program with what is known, and with its id in any case: what it started goes on."""
    if not call.wants_json:
        return
    shape: Shape = {"InvokeId": invoke_id}
    with suppress(CloudAssistantError, KeyboardInterrupt):
        so_far = one_invocation(call, invoke_id)
        shape = invocation_object(invoke_id, so_far.stored.record.command.command_id, so_far.status.state, so_far.rows)
    call.print_json(shape)


def exit_code_of(rows: Sequence[ExecutionRow]) -> int:
    """0 when every target succeeded, or has had nothing to do yet; 1 otherwise."""
    good = (ExecutionState.SUCCESS, ExecutionState.SCHEDULED)
    return DONE if all(row.state in good for row in rows) else SCRIPT_FAILED


class _Watcher:
    """What a person sees while it goes on."""

    def __init__(self, call: Call, target_count: int, *, live: bool) -> None:
        self.rows: list[ExecutionRow] = []
        self._target_count = target_count
        self._line = ProgressLine()
        self._printer = OutputPrinter(call) if live else None
        self._states: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def see(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Output):
            self._line.clear()
            if self._printer:
                self._printer.piece(event)
        elif isinstance(event, Ended):
            self.rows.append(event.row)
            self._note(event.row.instance_id, event.row.state)
            if self._printer:
                self._line.clear()
                self._printer.rest(event.row.outcome.output)
        else:
            self._note(event.instance_id, event.state)

    def close(self) -> None:
        """Take the progress line away."""
        self._line.clear()

    def _note(self, instance_id: str, state: str) -> None:
        before = self._states.get(instance_id)
        if before:
            self._counts[before] -= 1
        self._states[instance_id] = state
        self._counts[state] += 1
        if self._target_count > 1:
            self._line.draw(f"{bar(len(self.rows), self._target_count)}  {by_state(self._counts)}")
        elif not self.rows:
            self._line.draw(f"{instance_id} {state}")


def _show(call: Call, finished: Finished) -> None:
    if call.wants_json:
        call.print_json(
            invocation_object(finished.invoke_id, finished.command_id, finished.status.state, finished.results)
        )
    elif len(finished.results) == 1:
        call.say(one_line(finished.results[0]))
    else:
        for line in grouped(finished.results):
            call.print(line)
        counts = by_state(finished.status.counts)
        call.say(f"{finished.invoke_id} {counted(len(finished.results), 'instance')}: {counts}")
