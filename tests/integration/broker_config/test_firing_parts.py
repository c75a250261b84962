"""A firing of many targets is dispatched part after part, and by another beat where one has ended."""

from dataclasses import replace

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.firings import FiringChunk, FiringPacing, TakenOver
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .firing_schedule import LEASE_MS, Schedule, assert_ended, ids


def parts(schedule: Schedule) -> tuple[FiringChunk, FiringChunk]:
    first = schedule.chunk(schedule.target("i-1"), schedule.target("i-2"), target_count=3)
    return first, schedule.chunk(schedule.target("i-3"), first_place=2)


def test_a_firing_of_many_targets_is_dispatched_in_parts_and_counted_once(schedule: Schedule) -> None:
    first, second = parts(schedule)
    step = schedule.open(first)
    assert (step.word, step.is_done) == ("opened", False)
    firing = schedule.firing()
    assert (firing.status, firing.created_count, firing.target_count) == ("dispatching", 2, 3)
    assert schedule.score(keys.TIMED_DISPATCHING, schedule.member) == step.server_ms + LEASE_MS
    assert schedule.get("open_due_ms", "fired_count") == [str(schedule.due_ms), "1"]

    for wrong in (replace(second, token="beat-2"), replace(second, first_place=1)):
        assert schedule.go_on(wrong).word == "lost"
    assert schedule.states() == ["Pending", "Pending", ""]

    step = schedule.go_on(second)
    assert (step.word, step.is_done) == ("continued", True)
    firing = schedule.firing()
    assert (firing.status, firing.created_count, firing.info) == ("fired", 3, "a note")
    assert schedule.states() == ["Pending"] * 3
    assert schedule.score(keys.TIMED_DISPATCHING, schedule.member) is None
    assert schedule.get("open_due_ms", "fired_count", "last_due_ms") == [None, "1", str(schedule.due_ms)]
    assert schedule.has_firing("token") == [False]
    assert schedule.go_on(second).word == "lost"


def test_busy_and_refused_instances_are_summed_over_the_parts(schedule: Schedule) -> None:
    latest_ms = schedule.previous("i-1", state="Running")
    assert schedule.previous("i-3", state="Running") == latest_ms
    schedule.redis.call("ZREM", keys.INSTANCES, "i-2")
    busy, gone, also_busy = (
        schedule.target("i-1", latest_ms=latest_ms),
        schedule.target("i-2"),
        schedule.target("i-3", latest_ms=latest_ms),
    )
    schedule.open(schedule.chunk(busy, target_count=3))
    assert schedule.get("fired_count") == [None], "nobody has an execution yet"
    schedule.go_on(schedule.chunk(gone, first_place=1, target_count=3))
    schedule.go_on(schedule.chunk(also_busy, first_place=2))
    firing = schedule.firing()
    assert (firing.status, firing.overlap, firing.refused_count) == ("fired", ("i-1", "i-3"), 1)
    assert schedule.get("fired_count", "skipped_count") == ["1", None]


def test_runs_are_counted_alike_in_all_parts_where_no_row_says_how_many_there_were(schedule: Schedule) -> None:
    schedule.set(fired_count=3)
    latest_ms = schedule.previous("i-1", state="Success", claimed_ms=1)
    assert schedule.previous("i-3", state="Success", claimed_ms=1) == latest_ms
    schedule.open(schedule.chunk(schedule.target("i-1", latest_ms=latest_ms), target_count=2))
    schedule.go_on(schedule.chunk(schedule.target("i-3", latest_ms=latest_ms), first_place=1))
    rows = [schedule.row(one) for one in ("i-1", "i-3")]
    assert [row.repeats for row in rows if row] == [4, 4]


@pytest.mark.parametrize(
    ("before", "repeats"),
    [
        ({"state": "Success", "claimed_ms": 1, "repeats": 5}, 6),
        ({"state": "Aborted", "repeats": 5}, 5),
        ({"state": "Pending", "deadline_ms": 1, "repeats": 5}, 5),
        ({"state": "Pending", "repeats": 5}, 6),
        ({"state": "Aborted", "repeats": 0}, 1),
    ],
)
def test_what_never_ran_is_no_run(schedule: Schedule, before: dict[str, str | int], repeats: int) -> None:
    latest_ms = schedule.previous("i-1", **before)
    schedule.open(replace(schedule.chunk(schedule.target("i-1", latest_ms=latest_ms)), overlap="allow"))
    row = schedule.row("i-1")
    assert row is not None
    assert row.repeats == repeats


def test_the_last_run_keeps_the_reason_that_the_schedule_ended_for_before(schedule: Schedule) -> None:
    last = replace(schedule.chunk(schedule.target("i-1")), next_due_ms=0, end_reason="last_due", max_count=1)
    schedule.open(last)
    assert_ended(schedule, "last_due")


# In lines


def in_line(schedule: Schedule, *instance_ids: str, first_place: int = 0, within_ms: int = 5_000) -> FiringChunk:
    """Some of three targets that run one after the other."""
    chunk = schedule.chunk(*map(schedule.target, instance_ids), first_place=first_place, target_count=3)
    pacing = FiringPacing(at_once_count=1, failures_count=0, deliver_within_ms=within_ms, life_ms=600_000)
    return replace(chunk, pacing=pacing)


def test_who_cannot_be_written_to_takes_no_place_in_a_line(schedule: Schedule) -> None:
    schedule.redis.call("SET", keys.open_executions("i-1"), "no set")
    schedule.open(in_line(schedule, "i-1", "i-2", "i-3"))
    assert schedule.states() == ["Error", "Pending", "Scheduled"]
    line = keys.firing_line(schedule.invoke_id, schedule.due_ms)
    assert schedule.redis.call("LRANGE", line, 0, -1) == [b"i-2", b"i-3"]


def test_nothing_is_made_of_a_row_that_is_gone_for_who_stands_behind_it(schedule: Schedule) -> None:
    schedule.open(in_line(schedule, "i-1"))
    [first] = ids(schedule, "i-1")
    schedule.redis.call("DEL", keys.execution("i-1", first))
    schedule.go_on(in_line(schedule, "i-2", "i-3", first_place=1))
    assert schedule.states() == ["", "Scheduled", "Scheduled"]
    assert schedule.redis.call("EXISTS", keys.execution("i-1", first)) == 0


@pytest.mark.parametrize("within_ms", [5_000, 3_600_000])
def test_the_first_of_a_line_has_as_long_as_the_others_and_not_beyond_the_firing(
    schedule: Schedule, within_ms: int
) -> None:
    before_ms = server_ms(schedule.redis)
    schedule.open(in_line(schedule, "i-1", "i-2", "i-3", within_ms=within_ms))
    row = schedule.row("i-1")
    assert row is not None
    whole_ms = schedule.next_ms - 1
    least_ms, most_ms = before_ms + within_ms, server_ms(schedule.redis) + within_ms
    assert min(least_ms, whole_ms) <= row.deadline_ms <= min(most_ms, whole_ms)


def test_the_last_run_ends_the_schedule_once_all_its_parts_are_there(schedule: Schedule) -> None:
    first, second = (replace(one, max_count=1) for one in parts(schedule))
    schedule.open(first)
    assert schedule.get("status") == ["active"]
    schedule.go_on(second)
    assert_ended(schedule, "max_count")


def test_a_dispatch_is_taken_over_only_when_its_lease_is_over(schedule: Schedule) -> None:
    assert schedule.take_over("beat-2") is None, "there is none"
    first, second = parts(schedule)
    schedule.open(first)
    assert schedule.take_over("beat-2") is None
    schedule.redis.call("ZADD", keys.TIMED_DISPATCHING, 1, schedule.member)
    now_ms = server_ms(schedule.redis)
    assert schedule.take_over("beat-2") == TakenOver(2, 3, schedule.next_ms - 1)
    assert (schedule.score(keys.TIMED_DISPATCHING, schedule.member) or 0) >= now_ms + LEASE_MS
    assert schedule.take_over("beat-3") is None
    assert schedule.go_on(second).word == "lost"
    assert schedule.go_on(replace(second, token="beat-2")).is_done
    schedule.redis.call("ZADD", keys.TIMED_DISPATCHING, 1, schedule.member)
    assert schedule.take_over("beat-3") is None, "it is done"
    assert schedule.score(keys.TIMED_DISPATCHING, schedule.member) is None


@pytest.mark.parametrize("is_counted", [True, False])
def test_the_next_due_time_cuts_a_dispatch_short_that_is_not_done(schedule: Schedule, is_counted: bool) -> None:
    earlier_ms = schedule.previous("i-1", state="Running")
    latest_ms = 0 if is_counted else earlier_ms
    first = schedule.chunk(schedule.target("i-1", latest_ms=latest_ms), target_count=3)
    schedule.open(first)
    cut_ms, member = schedule.due_ms, schedule.member
    schedule.due_ms = cut_ms + 50
    schedule.set(due_ms=schedule.due_ms)
    step = schedule.open(replace(schedule.chunk(), open_due_ms=cut_ms))
    assert step.word == "opened"
    cut = schedule.firing(cut_ms)
    assert (cut.status, cut.reason, cut.left_out_count) == (
        ("fired", "", 2) if is_counted else ("skipped", "misfire", 2)
    )
    assert "the next due time came" in cut.info
    assert schedule.score(keys.TIMED_DISPATCHING, member) is None
    assert schedule.get("open_due_ms") == [None]
    assert schedule.get("fired_count", "skipped_count") == (["2", None] if is_counted else ["1", "1"])
    assert schedule.redis.call("HEXISTS", keys.firing(schedule.invoke_id, cut_ms), "token") == 0


def test_a_dispatch_of_which_nothing_is_left_holds_up_no_due_time(schedule: Schedule) -> None:
    first, _ = parts(schedule)
    schedule.open(first)
    cut_ms, member = schedule.due_ms, schedule.member
    schedule.redis.call("DEL", keys.firing(schedule.invoke_id, cut_ms))
    schedule.due_ms = cut_ms + 50
    schedule.set(due_ms=schedule.due_ms)
    assert schedule.open(replace(schedule.chunk(), open_due_ms=cut_ms)).is_done
    assert schedule.get("open_due_ms", "fired_count", "skipped_count") == [None, "2", None]
    assert schedule.score(keys.TIMED_DISPATCHING, member) is None
    assert schedule.redis.call("EXISTS", keys.firing(schedule.invoke_id, cut_ms)) == 0


def test_a_stop_ends_a_dispatch_under_way(schedule: Schedule) -> None:
    first, second = parts(schedule)
    schedule.open(first)
    schedule.set(status="stopped")
    step = schedule.go_on(second)
    assert (step.word, step.is_done) == ("continued", True)
    firing = schedule.firing()
    assert (firing.status, firing.left_out_count) == ("fired", 1)
    assert "was stopped before" in firing.info
    assert schedule.score(keys.TIMED_DISPATCHING, schedule.member) is None
    assert schedule.get("open_due_ms") == [None]
    assert schedule.has_firing("token") == [False]
    assert schedule.states() == ["Pending", "Pending", ""]


def test_a_dispatch_whose_executions_would_be_too_late_ends(schedule: Schedule) -> None:
    first, second = parts(schedule)
    schedule.open(first)
    assert schedule.go_on(replace(second, deadline_ms=1)).is_done
    assert schedule.firing().left_out_count == 1
    assert "the delivery deadline passed" in schedule.firing().info
    assert schedule.states() == ["Pending", "Pending", ""]
