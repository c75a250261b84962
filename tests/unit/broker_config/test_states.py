"""The table of moves and the roll-ups."""

from collections import Counter
from itertools import product

import pytest

from cloud_assistant.broker_config.error_codes import STATE_OF, ErrorCode
from cloud_assistant.broker_config.states import (
    FINAL,
    MOVES,
    UNFINISHED,
    ExecutionState,
    InvocationState,
    allowed_from,
    is_final,
    legacy_invoke_status,
    legacy_record_status,
    roll_up,
)

S = ExecutionState
STOPPED = {S.CANCELLED, S.TERMINATED}
FAULTS = {S.INVALID, S.ABORTED, S.FAILED, S.ERROR, S.TIMEOUT}


def test_every_state_has_a_row_in_the_table_of_moves() -> None:
    assert set(MOVES) == set(ExecutionState)


def test_final_states_lead_nowhere_but_for_an_abort_that_a_late_truth_replaces() -> None:
    assert {state for state in FINAL if MOVES[state]} == {S.ABORTED}


def test_nothing_moves_back_to_an_unfinished_state_once_it_has_run() -> None:
    for state in (S.RUNNING, S.STOPPING, *FINAL):
        assert not MOVES[state] & {S.PENDING, S.SCHEDULED}


def test_running_is_reached_from_pending_alone() -> None:
    assert allowed_from(S.RUNNING) == ["Pending"]


def test_every_error_code_but_none_has_a_final_state() -> None:
    assert set(STATE_OF) == set(ErrorCode) - {ErrorCode.NONE}
    assert all(is_final(state) for state in STATE_OF.values())


def expected_roll_up(states: tuple[ExecutionState, ...]) -> str:
    """The rule written a second time, in the order in which the documents give it."""
    for unfinished in (S.STOPPING, S.PENDING, S.RUNNING, S.SCHEDULED):
        if unfinished in states:
            return unfinished.value
    successes = [state for state in states if state is S.SUCCESS]
    faults = [state for state in states if state in FAULTS]
    if successes and all(state is S.SUCCESS or state in STOPPED for state in states):
        return "Success"
    if successes and faults:
        return "PartialFailed"
    if faults:
        return "Failed"
    return "Stopped"


def test_roll_up_agrees_with_the_rule_for_every_combination_of_three_instances() -> None:
    for states in product(ExecutionState, repeat=3):
        assert roll_up(Counter(states)) == expected_roll_up(states), states


def test_an_invocation_without_rows_yet_is_pending() -> None:
    assert roll_up({}) is InvocationState.PENDING
    assert roll_up({"Success": 0}) is InvocationState.PENDING


@pytest.mark.parametrize(
    ("state", "legacy"),
    [
        ("Pending", "Running"),
        ("Scheduled", "Running"),
        ("Running", "Running"),
        ("Success", "Finished"),
        ("Failed", "Finished"),
        ("Invalid", "Failed"),
        ("Aborted", "Failed"),
        ("Error", "Failed"),
        ("Timeout", "Failed"),
        ("Cancelled", "Stopped"),
        ("Terminated", "Stopped"),
        ("Stopping", "Stopping"),
    ],
)
def test_the_older_word_for_a_record_follows_the_table(state: str, legacy: str) -> None:
    assert legacy_record_status(state) == legacy


@pytest.mark.parametrize(
    ("states", "legacy"),
    [
        ([], "Running"),
        (["Success", "Running"], "Running"),
        (["Success", "Stopping"], "Stopping"),
        (["Cancelled", "Terminated"], "Stopped"),
        (["Success", "Failed"], "Finished"),
        (["Success", "Cancelled"], "Finished"),
        (["Aborted", "Timeout"], "Failed"),
        (["Success", "Aborted"], "PartialFailed"),
    ],
)
def test_the_older_word_for_an_invocation(states: list[str], legacy: str) -> None:
    assert legacy_invoke_status(states) == legacy


def test_a_timed_invocation_is_running_in_the_older_words_until_it_is_over() -> None:
    assert legacy_invoke_status(["Success"], periodic_active=True) == "Running"


def test_unfinished_and_final_are_the_whole() -> None:
    assert set(ExecutionState) == UNFINISHED | FINAL
