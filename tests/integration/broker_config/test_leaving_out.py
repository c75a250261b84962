"""Due times that are left out, in the function that does it: each leaves a row that says why."""

from dataclasses import replace

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.timed import ROWS_OF_ONE_REASON_COUNT, SkippedDue, skip_due_command
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .firing_schedule import Schedule, assert_ended

MINUTE_MS = 60_000


def leave_out(
    schedule: Schedule, *rows: SkippedDue, next_ms: int | None = None, revision: str = "1", run_due_ms: int = 0
) -> str:
    """Leave out what is due, and ``rows`` behind it, as a beat does that has read the schedule just now."""
    chosen = rows or (row_of(schedule),)
    command = skip_due_command(
        schedule.invoke_id,
        chosen,
        revision=revision,
        next_due_ms=chosen[-1].until_ms + MINUTE_MS if next_ms is None else next_ms,
        next_skipped="dst_gap",
        end_reason="end_time",
        run_due_ms=run_due_ms or int(schedule.get("run_due_ms")[0] or 0),
    )
    word: str = run(schedule.redis, command)[0].decode()
    return word


def row_of(schedule: Schedule, reason: str = "paused") -> SkippedDue:
    return SkippedDue(schedule.due_ms, schedule.due_ms, 1, reason, "why")


def long_run(schedule: Schedule) -> None:
    """Leave the schedule behind as many due times of one reason as get a row each."""
    assert leave_out(schedule) == "skipped"
    schedule.set(run_count=ROWS_OF_ONE_REASON_COUNT)
    schedule.due_ms = schedule.due_ms + 10
    schedule.set(due_ms=schedule.due_ms)


def test_a_due_time_that_is_left_out_has_a_row_and_the_schedule_moves_on(schedule: Schedule) -> None:
    before_ms = server_ms(schedule.redis)
    assert leave_out(schedule) == "skipped"
    firing = schedule.firing()
    assert (firing.status, firing.reason, firing.info, firing.count) == ("skipped", "paused", "why", 1)
    assert before_ms <= firing.decided_ms <= server_ms(schedule.redis)
    assert schedule.score(keys.firings(schedule.invoke_id), str(schedule.due_ms)) == schedule.due_ms
    assert schedule.score(keys.TIMED_DUE, schedule.invoke_id) == schedule.next_ms
    moved = schedule.get("status", "due_ms", "skipped_count", "fired_count", "next_ms", "next_skip")
    assert moved == ["active", str(schedule.next_ms), "1", None, None, None]
    assert schedule.get("due_skip") == ["dst_gap"]
    assert schedule.get("run_reason", "run_count", "run_due_ms") == ["paused", "1", str(schedule.due_ms)]


@pytest.mark.parametrize("change", [{"status": "stopped"}, {"due_ms": "5"}, {"revision": "2"}, {"run_due_ms": "5"}])
def test_what_has_changed_since_it_was_read_is_not_left_out(schedule: Schedule, change: dict[str, str]) -> None:
    command = skip_due_command(
        schedule.invoke_id,
        [row_of(schedule)],
        revision="1",
        next_due_ms=schedule.next_ms,
        next_skipped="",
        end_reason="",
        run_due_ms=0,
    )
    schedule.set(**change)
    assert run(schedule.redis, command)[0] == b"changed"
    assert schedule.redis.call("ZCARD", keys.firings(schedule.invoke_id)) == 0


def test_nothing_is_left_out_before_its_time_by_the_clock_of_redis(schedule: Schedule) -> None:
    schedule.due_ms = server_ms(schedule.redis) + MINUTE_MS
    schedule.set(due_ms=schedule.due_ms)
    assert leave_out(schedule) == "early"
    assert schedule.redis.call("ZCARD", keys.firings(schedule.invoke_id)) == 0


def test_a_paused_schedule_whose_last_due_time_is_left_out_has_ended(schedule: Schedule) -> None:
    schedule.set(status="paused")
    assert leave_out(schedule, next_ms=0) == "skipped"
    assert_ended(schedule, "end_time")


def test_after_a_long_run_of_one_reason_its_last_row_grows(schedule: Schedule) -> None:
    long_run(schedule)
    first_ms = schedule.due_ms - 10
    schedule.redis.call("HSET", keys.firing(schedule.invoke_id, first_ms), "decided_ms", 1)
    grown = replace(row_of(schedule), until_ms=schedule.due_ms + 5, count=3)
    assert leave_out(schedule, grown) == "skipped"
    [place, score] = schedule.redis.call("ZRANGE", keys.firings(schedule.invoke_id), 0, -1, "WITHSCORES")
    assert (int(place), int(score)) == (first_ms, schedule.due_ms + 5)
    firing = schedule.firing(first_ms)
    assert (firing.due_ms, firing.until_ms, firing.count) == (first_ms, schedule.due_ms + 5, 4)
    assert firing.decided_ms > 1
    assert schedule.get("skipped_count", "run_count") == ["4", str(ROWS_OF_ONE_REASON_COUNT)]


def test_before_that_each_has_a_row_found_by_the_last_due_time_that_it_covers(schedule: Schedule) -> None:
    assert leave_out(schedule) == "skipped"
    first_ms, schedule.due_ms = schedule.due_ms, schedule.due_ms + 10
    schedule.set(due_ms=schedule.due_ms)
    assert leave_out(schedule, replace(row_of(schedule), until_ms=schedule.due_ms + 5, count=2)) == "skipped"
    rows = schedule.redis.call("ZRANGE", keys.firings(schedule.invoke_id), 0, -1, "WITHSCORES")
    assert [int(one) for one in rows] == [first_ms, first_ms, schedule.due_ms, schedule.due_ms + 5]
    assert (schedule.firing().until_ms, schedule.firing().count) == (schedule.due_ms + 5, 2)
    assert schedule.get("run_count", "run_due_ms", "skipped_count") == ["2", str(schedule.due_ms), "3"]


def test_rows_that_are_left_out_together_are_never_added_to_an_earlier_one(schedule: Schedule) -> None:
    """As after weeks without a beat: what is told row by row stays that."""
    long_run(schedule)
    second = replace(row_of(schedule), due_ms=schedule.due_ms + 10, until_ms=schedule.due_ms + 10)
    assert leave_out(schedule, row_of(schedule), second) == "skipped"
    assert schedule.redis.call("ZCARD", keys.firings(schedule.invoke_id)) == 3
    assert [schedule.firing(one).count for one in (schedule.due_ms - 10, schedule.due_ms, second.due_ms)] == [1, 1, 1]


def test_another_reason_begins_a_run_of_its_own(schedule: Schedule) -> None:
    long_run(schedule)
    assert leave_out(schedule, row_of(schedule, "misfire")) == "skipped"
    assert schedule.firing().reason == "misfire"
    assert schedule.get("run_reason", "run_count", "run_due_ms") == ["misfire", "1", str(schedule.due_ms)]


def test_a_row_that_retention_has_taken_does_not_grow(schedule: Schedule) -> None:
    """All beats were down for longer than the history is kept."""
    long_run(schedule)
    first_ms = schedule.due_ms - 10
    schedule.redis.call("DEL", keys.firing(schedule.invoke_id, first_ms), keys.firings(schedule.invoke_id))
    assert leave_out(schedule) == "skipped"
    firing = schedule.firing()
    assert (firing.status, firing.reason, firing.count) == ("skipped", "paused", 1)
    assert schedule.redis.call("EXISTS", keys.firing(schedule.invoke_id, first_ms)) == 0
    assert schedule.get("run_due_ms") == [str(schedule.due_ms)]
