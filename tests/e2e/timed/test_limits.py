"""An end time and a limit of runs are given to a schedule, changed, and taken away."""

import pytest
from e2e.timed.conftest import Operator


@pytest.fixture
def invoke_id(operator: Operator) -> str:
    operator.system.register("i-one")
    limits = ("--end-time", "2090-01-01T00:00:00Z", "--max-count", "5")
    return operator.invoke("true", *limits, frequency="0 0 3 * * *")


def limits_of(operator: Operator, invoke_id: str) -> tuple[str, int]:
    shown = operator.json("timed", "show", invoke_id)
    return shown["EndTime"], shown["MaxCount"]


def test_limits_are_taken_away_one_by_one(operator: Operator, invoke_id: str) -> None:
    operator.run("timed", "modify", invoke_id, "--overlap", "queue").must_succeed()
    assert limits_of(operator, invoke_id) == ("2090-01-01T00:00:00Z", 5)
    operator.run("timed", "modify", invoke_id, "--no-end-time", "--max-count", "7").must_succeed()
    assert limits_of(operator, invoke_id) == ("", 7)
    assert len(operator.due_times(invoke_id, "--from", "2095-01-01", "--count", "50")) == 7
    operator.run("timed", "modify", invoke_id, "--no-max-count").must_succeed()
    assert limits_of(operator, invoke_id) == ("", 0)
    assert len(operator.due_times(invoke_id, "--count", "50")) == 50


def test_what_becomes_of_missed_due_times_is_left_to_the_beats_again(operator: Operator, invoke_id: str) -> None:
    assert operator.json("timed", "show", invoke_id)["MisfirePolicy"] == ""
    operator.run("timed", "modify", invoke_id, "--misfire", "all").must_succeed()
    assert operator.json("timed", "show", invoke_id)["MisfirePolicy"] == "all"
    operator.run("timed", "modify", invoke_id, "--no-misfire").must_succeed()
    assert operator.json("timed", "show", invoke_id)["MisfirePolicy"] == ""
    outcome = operator.run("timed", "modify", invoke_id, "--misfire", "skip", "--no-misfire")
    assert (outcome.exit_code, "--no-misfire does not go with --misfire" in outcome.stderr) == (2, True)


@pytest.mark.parametrize("given", [("--end-time", "2091-01-01"), ("--max-count", "9")])
def test_a_limit_cannot_be_given_and_taken_away_at_once(
    operator: Operator, invoke_id: str, given: tuple[str, str]
) -> None:
    outcome = operator.run("timed", "modify", invoke_id, *given, f"--no{given[0][1:]}")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert f"--no{given[0][1:]} does not go with {given[0]}" in outcome.stderr
    assert limits_of(operator, invoke_id) == ("2090-01-01T00:00:00Z", 5)
