"""One decision about each due time, and the end of a schedule, in the function that makes it."""

from dataclasses import replace

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .firing_schedule import Schedule, assert_ended, ids


def test_a_due_time_gives_every_target_its_execution_and_moves_the_schedule_on(schedule: Schedule) -> None:
    before_ms = server_ms(schedule.redis)
    schedule.set(run_reason="paused", run_count=1, run_due_ms=1)
    step = schedule.open(schedule.chunk())
    assert (step.word, step.is_done) == ("opened", True)
    assert before_ms <= step.server_ms <= server_ms(schedule.redis)
    firing = schedule.firing()
    assert (firing.status, firing.until_ms, firing.count, firing.info) == ("fired", schedule.due_ms, 1, "a note")
    assert (firing.target_count, firing.created_count, firing.waiting_count, firing.refused_count) == (3, 3, 0, 0)
    assert (firing.decided_ms, firing.deadline_ms) == (step.server_ms, schedule.next_ms - 1)
    assert schedule.has_firing("token", "next_place") == [False, False]
    assert schedule.score(keys.firings(schedule.invoke_id), str(schedule.due_ms)) == schedule.due_ms
    assert schedule.score(keys.TIMED_DUE, schedule.invoke_id) == schedule.next_ms
    moved = schedule.get("status", "due_ms", "fired_count", "last_due_ms", "skipped_count", "open_due_ms")
    assert moved == ["active", str(schedule.next_ms), "1", str(schedule.due_ms), None, None]
    # What was known of the next due time, and of a run of those left out, counts no more.
    assert schedule.get("next_ms", "next_skip", "run_reason", "run_count", "run_due_ms") == [None] * 5
    assert schedule.redis.call("ZCARD", keys.INVOCATIONS_OPEN) == 0


def test_why_the_next_due_time_is_to_be_left_out_is_kept_for_who_decides_about_it(schedule: Schedule) -> None:
    schedule.open(replace(schedule.chunk(), next_skipped="dst_gap"))
    assert schedule.get("due_ms", "due_skip") == [str(schedule.next_ms), "dst_gap"]


def test_each_execution_is_a_row_a_message_and_a_deadline(schedule: Schedule) -> None:
    step = schedule.open(schedule.chunk())
    for instance_id, execution in zip(("i-1", "i-3"), ids(schedule, "i-1", "i-3"), strict=True):
        row = schedule.row(instance_id)
        assert row is not None
        assert (row.state, row.deadline_ms, row.created_ms) == ("Pending", schedule.next_ms - 1, step.server_ms)
        assert (row.command_id, row.timeout_seconds) == ("c-1", 10)
        assert schedule.messages(instance_id) == [execution]
        assert schedule.score(keys.DEADLINES, execution) == schedule.next_ms - 1
        assert schedule.score(keys.open_executions(instance_id), execution) == schedule.next_ms - 1
        assert schedule.score(keys.instance_history(instance_id), execution) == step.server_ms
        latest = schedule.redis.call("HGET", keys.timed_latest(schedule.invoke_id), instance_id)
        assert latest == str(schedule.due_ms).encode()
    assert schedule.redis.call("ZCARD", keys.TIMED_WAITING) == 0


def test_of_two_who_decide_about_one_due_time_the_second_finds_it_decided(schedule: Schedule) -> None:
    chunk = schedule.chunk()
    assert schedule.open(chunk).word == "opened"
    assert schedule.open(replace(chunk, token="beat-2")).word == "changed"
    assert schedule.get("fired_count") == ["1"]
    assert len(schedule.messages("i-1")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paused"},
        {"status": "stopped"},
        {"due_ms": "5"},
        {"revision": "2"},
        {"open_due_ms": "5"},
    ],
)
def test_what_has_changed_since_it_was_read_is_not_fired(schedule: Schedule, change: dict[str, str]) -> None:
    schedule.set(**change)
    assert schedule.open(schedule.chunk()).word == "changed"
    assert_nothing_fired(schedule)


def test_nothing_is_fired_before_its_time_by_the_clock_of_redis(schedule: Schedule) -> None:
    schedule.due_ms = server_ms(schedule.redis) + 60_000
    schedule.set(due_ms=schedule.due_ms)
    step = schedule.open(schedule.chunk())
    assert step.word == "early"
    assert 0 <= server_ms(schedule.redis) - step.server_ms < 10_000
    assert_nothing_fired(schedule)


def test_a_decision_that_was_held_up_until_its_executions_are_too_late_is_made_again(schedule: Schedule) -> None:
    assert schedule.open(replace(schedule.chunk(), deadline_ms=schedule.due_ms + 1)).word == "changed"
    assert_nothing_fired(schedule)


def assert_nothing_fired(schedule: Schedule) -> None:
    assert schedule.states() == ["", "", ""]
    assert schedule.messages("i-1") == []
    assert schedule.get("fired_count") == [None]
    assert schedule.redis.call("EXISTS", keys.firing(schedule.invoke_id, schedule.due_ms)) == 0
    assert schedule.redis.call("ZCARD", keys.firings(schedule.invoke_id)) == 0


# The end of a schedule


def test_the_last_due_time_is_fired_and_ends_the_schedule(schedule: Schedule) -> None:
    assert schedule.open(replace(schedule.chunk(), next_due_ms=0, end_reason="end_time")).word == "opened"
    assert schedule.states() == ["Pending"] * 3
    assert_ended(schedule, "end_time")


def test_the_last_run_of_so_many_ends_the_schedule(schedule: Schedule) -> None:
    schedule.set(fired_count=3)
    assert schedule.open(replace(schedule.chunk(), max_count=5)).word == "opened"
    assert schedule.get("status", "fired_count") == ["active", "4"]
    schedule.due_ms = schedule.due_ms - 1
    schedule.set(due_ms=schedule.due_ms)
    assert schedule.open(replace(schedule.chunk(), max_count=5)).word == "opened"
    assert schedule.states() == ["Pending"] * 3
    assert_ended(schedule, "max_count")


def test_a_schedule_that_has_had_all_its_runs_has_no_more(schedule: Schedule) -> None:
    schedule.set(fired_count=5)
    assert schedule.open(replace(schedule.chunk(), max_count=5)).word == "ended"
    assert schedule.states() == ["", "", ""]
    assert_ended(schedule, "max_count")
