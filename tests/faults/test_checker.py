"""Each line of the checker can fail, and fails for the right reason alone."""

from dataclasses import replace
from typing import Any

import pytest
from faults.checker import Evidence, Line, Planned, Request, Traces, Turns, Violation, check, counts
from faults.scene import TimedAsked
from faults.scripts import QUICK

from cloud_assistant.broker_config.results import ExecutionRow, KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState as S
from cloud_assistant.broker_config.timed.firing_rows import Firing, FiringStatus

ID = "t-1.0@i-one"
RAN = Traces(start_count=1, end_count=1, written=b"out\n")
NOW_MS = 1_000_000


def outcome(state: S = S.SUCCESS, **fields: Any) -> Outcome:
    defaults: dict[str, Any] = {"exit_code": 0, "output": KeptStreams(data=b"out\n")} if state == S.SUCCESS else {}
    return Outcome(state=state, **{**defaults, **fields})


def row(end: Outcome, *, deadline_ms: int = NOW_MS - 1) -> ExecutionRow:
    return ExecutionRow(
        execution_id=ID,
        invoke_id="t-1",
        instance_id="i-one",
        firing_ms=0,
        state=end.state.value,
        deadline_ms=deadline_ms,
        outcome=end,
    )


def evidence(
    end: Outcome | None = None, *, request: Request | None = None, traces: Traces = RAN, **more: Any
) -> Evidence:
    return Evidence(
        requests=[request or Request(execution_id=ID)],
        rows={ID: row(end or outcome())},
        traces={ID: traces},
        now_ms=NOW_MS,
        **more,
    )


def lines(found: Evidence) -> set[Line]:
    return {violation.line for violation in check(found)}


def firing(due_ms: int, *, until_ms: int = 0, status: FiringStatus = FiringStatus.FIRED) -> Firing:
    return Firing(
        invoke_id="t-2",
        due_ms=due_ms,
        until_ms=until_ms or due_ms,
        count=1,
        status=status,
        reason="",
        info="",
        decided_ms=due_ms,
        deadline_ms=0,
        target_count=1,
        created_count=1,
        waiting_count=0,
        refused_count=0,
        left_out_count=0,
        overlap=(),
        instances=(),
    )


def test_a_faultless_run_has_no_violation() -> None:
    assert check(evidence()) == []


def test_a_second_start_is_seen() -> None:
    assert lines(evidence(traces=replace(RAN, start_count=2))) == {Line.STARTED_ONCE, Line.RAN_AS_SAID}


def test_a_second_start_is_seen_even_where_the_request_was_refused() -> None:
    found = evidence(request=Request(execution_id=ID, is_accepted=False), traces=replace(RAN, start_count=2))
    assert Line.STARTED_ONCE in lines(replace(found, rows={}))


def test_a_script_that_nobody_asked_for_is_seen() -> None:
    assert lines(replace(evidence(), requests=[])) == {Line.ASKED_FOR}


def test_an_execution_of_a_firing_was_asked_for() -> None:
    found = replace(evidence(), requests=[], firings={"t-1": [replace(firing(0), invoke_id="t-1")]})
    assert lines(found) == set()


def test_an_accepted_request_without_a_row_is_lost() -> None:
    assert lines(replace(evidence(), rows={})) == {Line.NOT_LOST}


def test_a_request_that_failed_may_have_no_row() -> None:
    found = evidence(request=Request(execution_id=ID, is_accepted=False))
    assert lines(replace(found, rows={})) == set()


@pytest.mark.parametrize("state", [S.PENDING, S.RUNNING, S.STOPPING])
def test_an_unfinished_row_past_its_deadline_is_seen(state: S) -> None:
    assert lines(evidence(outcome(state))) == {Line.FINAL}


def test_an_unfinished_row_before_its_deadline_is_fine() -> None:
    assert lines(replace(evidence(), rows={ID: row(outcome(S.RUNNING), deadline_ms=NOW_MS + 1)})) == set()


def test_an_end_without_a_reason_is_seen() -> None:
    assert lines(evidence(outcome(S.ABORTED), traces=Traces())) == {Line.REASON}


@pytest.mark.parametrize(
    "end",
    [
        outcome(S.ABORTED, error_code="DeliveryTimeout"),
        outcome(S.CANCELLED),
        outcome(S.ERROR, error_code="ExecutionInterrupted", error_info="the agent ended; it never ran"),
    ],
)
def test_never_ran_is_refuted_by_a_start(end: Outcome) -> None:
    request = Request(execution_id=ID, is_stop_asked=True)
    traces = Traces(start_count=1)
    assert Line.RAN_AS_SAID in lines(evidence(end, request=request, traces=traces))
    assert lines(evidence(end, request=request, traces=Traces())) == set()


def test_a_success_without_a_start_is_seen() -> None:
    assert lines(evidence(traces=Traces(written=b"out\n"))) == {Line.RAN_AS_SAID}


@pytest.mark.parametrize("code", ["ExecutionInterrupted", "ClientNotResponse"])
def test_a_true_result_that_was_lost_is_seen(code: str) -> None:
    end = outcome(S.ERROR, error_code=code)
    assert lines(evidence(end)) == {Line.RESULT_KEPT}
    assert lines(evidence(end, traces=Traces(start_count=1))) == {Line.RESULT_KEPT}
    assert lines(evidence(end, broken_on_purpose=frozenset({ID}))) == set()


def test_another_exit_code_is_seen() -> None:
    end = outcome(S.FAILED, exit_code=4, error_code="ExitCodeNonzero", output=KeptStreams(data=b"out\n"))
    assert lines(evidence(end, request=Request(execution_id=ID, exit_code=3))) == {Line.EXIT_CODE}
    assert lines(evidence(end, request=Request(execution_id=ID, exit_code=4))) == set()


@pytest.mark.parametrize("data", [b"", b"out", b"out\nout\n", b"oot\n"])
def test_other_output_is_seen(data: bytes) -> None:
    assert lines(evidence(outcome(output=KeptStreams(data=data)))) == {Line.OUTPUT}


@pytest.mark.parametrize(
    ("kept", "is_right"),
    [
        (KeptStreams(data=b"0189", gap_at=2, dropped_bytes=6), True),
        (KeptStreams(data=b"0189", gap_at=2, dropped_bytes=5), False),
        (KeptStreams(data=b"0289", gap_at=2, dropped_bytes=6), False),
        (KeptStreams(data=b"0188", gap_at=2, dropped_bytes=6), False),
    ],
)
def test_head_and_tail_and_the_count_between_must_fit(kept: KeptStreams, is_right: bool) -> None:
    found = evidence(outcome(output=kept), traces=replace(RAN, written=b"0123456789"))
    assert lines(found) == (set() if is_right else {Line.OUTPUT})


def test_what_was_broken_off_shows_the_beginning_of_what_was_written() -> None:
    request = Request(execution_id=ID, is_stop_asked=True)
    traces = Traces(start_count=1, written=b"one\ntwo\n")
    assert (
        lines(evidence(outcome(S.TERMINATED, output=KeptStreams(data=b"one\n")), request=request, traces=traces))
        == set()
    )
    wrong = outcome(S.TERMINATED, output=KeptStreams(data=b"two\n"))
    assert lines(evidence(wrong, request=request, traces=traces)) == {Line.OUTPUT}


def test_what_nobody_signed_must_not_start() -> None:
    forged = Request(execution_id=ID, is_accepted=False, is_forged=True)
    refused = outcome(S.INVALID, error_code="SignatureInvalid")
    assert lines(evidence(refused, request=forged, traces=Traces())) == set()
    assert Line.NOT_FORGED in lines(evidence(refused, request=forged))
    assert Line.NOT_FORGED in lines(evidence(request=forged))


def test_a_stop_that_nobody_asked_for_or_that_left_something_alive_is_seen() -> None:
    asked, traces = Request(execution_id=ID, is_stop_asked=True), Traces(start_count=1)
    assert lines(evidence(outcome(S.TERMINATED), traces=traces)) == {Line.STOPPED}
    assert lines(evidence(outcome(S.TERMINATED, survivors=1), request=asked, traces=traces)) == {Line.STOPPED}
    assert lines(evidence(outcome(S.TIMEOUT, error_code="ExecutionTimeout"), traces=traces)) == {Line.STOPPED}
    assert lines(evidence(outcome(S.TERMINATED, survivors=0), request=asked, traces=traces)) == set()


@pytest.mark.parametrize(
    ("state", "last_ms", "is_right"),
    [
        (S.TERMINATED, 5_000, True),
        (S.TERMINATED, 7_001, False),
        (S.ERROR, 7_001, False),
        # Nobody has heard of it, so it may well go on.
        (S.ABORTED, 7_001, True),
    ],
)
def test_what_goes_on_after_its_end_was_told_is_seen(state: S, last_ms: int, is_right: bool) -> None:
    end = outcome(state, error_code="ExecutionInterrupted", finished_ms=5_000)
    found = evidence(
        end,
        request=Request(execution_id=ID, is_stop_asked=True),
        traces=Traces(start_count=1, last_ms=last_ms),
        broken_on_purpose=frozenset({ID}),
    )
    assert lines(found) == (set() if is_right else {Line.ENDED})


@pytest.mark.parametrize(
    ("rows", "is_right"),
    [
        ([firing(10), firing(20)], True),
        ([firing(10, until_ms=20, status=FiringStatus.SKIPPED)], True),
        ([firing(10)], False),
        ([firing(10), firing(20), firing(20)], False),
        ([firing(10, until_ms=20), firing(20)], False),
    ],
)
def test_each_due_time_has_one_row(rows: list[Firing], is_right: bool) -> None:
    planned = [Planned(invoke_id="t-2", due_ms=[10, 20])]
    found = evidence(planned=planned, firings={"t-2": rows})
    assert lines(found) == (set() if is_right else {Line.DUE_ONCE})


def test_a_row_for_a_moment_that_is_no_due_time_is_named() -> None:
    planned = [Planned(invoke_id="t-2", due_ms=[10, 20])]
    rows = [firing(10), firing(15), firing(20), firing(33)]
    assert lines(evidence(planned=planned, firings={"t-2": rows})) == {Line.DUE_ONLY}


@pytest.mark.parametrize(
    ("fields", "accepted_count"),
    [
        ({"created_count": 2}, 2),
        ({"created_count": 1}, 2),
        ({"created_count": 1, "waiting_count": 1}, 2),
        ({"created_count": 1, "overlap": ("i-two",)}, 1),
        ({"created_count": 1, "left_out_count": 1}, 0),
        ({"created_count": 1, "status": FiringStatus.DISPATCHING}, 0),
    ],
)
def test_a_firing_that_names_nobody_as_left_out_promises_an_execution_to_each_target(
    fields: dict[str, Any], accepted_count: int
) -> None:
    asked = TimedAsked("t-2", QUICK, ["i-one", "i-two"], period_ms=10, from_ms=0)
    requests = list(asked.requests([replace(firing(10), **fields)]))
    assert sum(one.is_accepted for one in requests) == accepted_count


@pytest.mark.parametrize(
    ("order", "at_once_count", "is_right"),
    [
        ("+a -a +b -b", 1, True),
        ("+a +b -a -b", 1, False),
        ("+a +b -a +c -b -c", 2, True),
        ("+a +b +c -a -b -c", 2, False),
        # It was killed before the next one began, or after that: nobody knows.
        ("+a +b -b", 1, True),
        ("", 1, True),
    ],
)
def test_no_more_run_at_once_than_was_asked_for(order: str, at_once_count: int, is_right: bool) -> None:
    turns = [("begin" if one[0] == "+" else "end", one[1:]) for one in order.split()]
    found = lines(replace(evidence(), turns=[Turns(at_once_count=at_once_count, lines=turns)]))
    assert found == (set() if is_right else {Line.PACED})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("unsigned", Line.SIGNED),
        ("processes", Line.NO_PROCESS),
        ("spool_entries", Line.NO_SPOOL),
        ("keys", Line.NO_KEY),
        ("messages", Line.NO_MESSAGE),
    ],
)
def test_what_is_left_behind_is_seen(name: str, line: Line) -> None:
    left: dict[str, Any] = {name: ["this"]}
    assert check(replace(evidence(), **left)) == [Violation(line, "this")]


def test_the_table_has_a_row_for_each_line() -> None:
    table = counts([Violation(Line.OUTPUT, "a"), Violation(Line.OUTPUT, "b")])
    assert table[Line.OUTPUT] == 2
    assert sum(table.values()) == 2
    assert set(table) == set(Line)
