"""Timed invocations that are begun, moved, planned and changed, in the functions that do it."""

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.timed import (
    TimedChange,
    begin_timed_command,
    modify_timed_command,
    move_timed_command,
    plan_ahead_command,
    read_timed_command,
    timed_reading,
)
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .firing_schedule import Schedule

FAR_MS = 600_000


@pytest.fixture
def schedule(schedule: Schedule) -> Schedule:
    """One whose invocation is there, and that is due in ten minutes."""
    schedule.redis.call("HSET", keys.invocation(schedule.invoke_id), "record", "old")
    schedule.due_ms = server_ms(schedule.redis) + FAR_MS
    schedule.set(due_ms=schedule.due_ms, due_skip="gap")
    schedule.redis.call("ZADD", keys.TIMED_DUE, schedule.due_ms, schedule.invoke_id)
    schedule.redis.call("ZADD", keys.TIMED_BOOT, 1, schedule.invoke_id)
    return schedule


def told(schedule: Schedule, command: Command) -> tuple[Any, bool]:
    """Run a command; answer its reply, and whether beats are told."""
    with closing(schedule.redis.subscribe(keys.TIMED_CHANGED_CHANNEL)) as listening:
        reply = run(schedule.redis, command)
        # Redis sends to who listens before it answers whoever has asked.
        return reply, listening.next(0.5) is not None


def scores(schedule: Schedule) -> list[float | None]:
    indexes = (keys.TIMED_DUE, keys.TIMED_BOOT, keys.INVOCATIONS_OPEN)
    return [schedule.score(one, schedule.invoke_id) for one in indexes]


# Beginning


def begun(schedule: Schedule, due_ms: int | None) -> tuple[Any, bool]:
    return told(schedule, begin_timed_command(schedule.invoke_id, now_ms=5, due_ms=due_ms, fields={"schedule": "{}"}))


@pytest.fixture
def stored(schedule: Schedule) -> Schedule:
    """One that is stored and has not begun."""
    schedule.redis.call("DEL", keys.timed(schedule.invoke_id))
    for index in (keys.TIMED_DUE, keys.TIMED_BOOT):
        schedule.redis.call("ZREM", index, schedule.invoke_id)
    schedule.redis.call("ZADD", keys.INVOCATIONS_OPEN, 1, schedule.invoke_id)
    return schedule


def test_one_that_begins_comes_due_and_is_no_unfinished_work(stored: Schedule) -> None:
    assert begun(stored, 7) == (b"ok", True)
    assert stored.get("status", "revision", "schedule", "due_ms") == ["active", "1", "{}", "7"]
    assert scores(stored) == [7.0, None, None]


def test_one_that_is_bound_to_boots_is_entered_among_those(stored: Schedule) -> None:
    assert begun(stored, None) == (b"ok", False)
    assert stored.get("status", "due_ms") == ["active", None]
    assert scores(stored) == [None, 5.0, None]


def test_one_begins_once_and_only_where_its_invocation_is(stored: Schedule) -> None:
    assert begun(stored, 7)[0] == b"ok"
    assert begun(stored, 9) == (b"exists", False)
    assert stored.get("due_ms") == ["7"]
    stored.redis.call("DEL", keys.invocation(stored.invoke_id), keys.timed(stored.invoke_id))
    assert begun(stored, 9) == (b"unknown", False)
    assert stored.redis.call("EXISTS", keys.timed(stored.invoke_id)) == 0


# Pause, resume, stop


def moved(schedule: Schedule, status: str, *allowed: str, **options: Any) -> tuple[Any, bool]:
    return told(schedule, move_timed_command(schedule.invoke_id, allowed, status, **options))


def test_a_pause_changes_the_status_and_what_beats_have_prepared(schedule: Schedule) -> None:
    before = scores(schedule)
    assert moved(schedule, "paused", "active", "paused", only_decided=True) == ([1, b"active"], True)
    assert schedule.get("status", "revision", "due_ms", "due_skip") == ["paused", "2", str(schedule.due_ms), "gap"]
    assert scores(schedule) == before


@pytest.mark.parametrize("end", ["stopped", "ended"])
def test_one_that_is_over_is_due_nowhere_and_is_to_be_settled(schedule: Schedule, end: str) -> None:
    before_ms = server_ms(schedule.redis)
    assert moved(schedule, end, "active", reason="why") == ([1, b"active"], True)
    names = ("status", "revision", "end_reason", "due_ms", "due_skip", "next_ms", "next_skip")
    assert schedule.get(*names) == [end, "2", "why", "0", None, None, None]
    due, boot, unfinished_ms = scores(schedule)
    [ended_ms] = schedule.get("ended_ms")
    assert (due, boot) == (None, None)
    assert unfinished_ms == float(ended_ms or 0) >= before_ms


@pytest.mark.parametrize("status", ["stopped", "ended"])
def test_what_is_over_is_not_moved(schedule: Schedule, status: str) -> None:
    schedule.set(status=status)
    assert moved(schedule, "active", "active", "paused") == ([0, status.encode()], False)
    assert schedule.get("status", "revision") == [status, "1"]
    schedule.redis.call("DEL", keys.timed(schedule.invoke_id))
    assert moved(schedule, "active", "active", "paused") == ([0, b""], False)


def test_a_due_time_that_has_passed_undecided_is_in_the_way_where_that_is_asked(schedule: Schedule) -> None:
    schedule.set(due_ms=server_ms(schedule.redis) - 1)
    assert moved(schedule, "paused", "active", only_decided=True) == ([0, b"undecided"], False)
    assert moved(schedule, "paused", "active")[0] == [1, b"active"]
    # One that is bound to boots has none.
    schedule.redis.call("HDEL", keys.timed(schedule.invoke_id), "due_ms")
    assert moved(schedule, "stopped", "paused", only_decided=True)[0] == [1, b"paused"]
    schedule.set(status="active", due_ms=0)
    assert moved(schedule, "paused", "active", only_decided=True)[0] == [1, b"active"]


# Planning and reading


@pytest.mark.parametrize("change", [{"fired_count": 1}, {"due_ms": 1}, {"revision": 2}])
def test_a_plan_holds_for_what_it_was_made_for(schedule: Schedule, change: dict[str, int]) -> None:
    due_ms = schedule.due_ms
    schedule.set(**change)
    is_noted = run(schedule.redis, plan_ahead_command(schedule.invoke_id, due_ms, "1", 9, "gap"))
    holds = "fired_count" in change
    assert is_noted == int(holds)
    assert (schedule.get("next_ms", "next_skip") == ["9", "gap"]) is holds


def test_a_reading_has_all_that_a_firing_needs_of_some_targets(schedule: Schedule) -> None:
    invoke_id = schedule.invoke_id
    schedule.redis.call("RPUSH", keys.invocation_targets(invoke_id), "i-1", "i-2", "i-3", "i-4")
    schedule.redis.call("HSET", keys.timed_latest(invoke_id), "i-3", 8)
    schedule.redis.call("SADD", keys.timed_stopped(invoke_id), "i-2")
    found = timed_reading(run(schedule.redis, read_timed_command(invoke_id, 1, 2)))
    assert (found.targets, found.latest_ms, found.stopped) == (["i-2", "i-3"], [0, 8], [True, False])
    assert found.fields["status"] == "active"
    behind = timed_reading(run(schedule.redis, read_timed_command(invoke_id, 4, 2)))
    assert (behind.targets, behind.fields) == ([], found.fields)
    assert timed_reading(run(schedule.redis, read_timed_command("t-0123456789", 0, 2))).fields == {}


# Changes


def change_of(schedule: Schedule, **fields: Any) -> TimedChange:
    given = {"revision": "1", "old_record": b"old", "record": b"new", "created_ms": 3, "fields": {"digest": "d"}}
    return TimedChange(invoke_id=schedule.invoke_id, old_command_id="c-old", command_id="c-new", **{**given, **fields})


def changed(schedule: Schedule, change: TimedChange) -> tuple[Any, bool]:
    return told(schedule, modify_timed_command(change))


def record(schedule: Schedule) -> bytes | None:
    found: bytes | None = schedule.redis.call("HGET", keys.invocation(schedule.invoke_id), "record")
    return found


def test_a_change_takes_what_is_given_and_leaves_the_schedule(schedule: Schedule) -> None:
    schedule.redis.call("RPUSH", keys.invocation_targets(schedule.invoke_id), "i-1")
    before = scores(schedule)
    assert changed(schedule, change_of(schedule, new_targets=["i-2", "i-3"])) == ([b"ok"], True)
    names = ("digest", "revision", "due_ms", "due_skip", "next_ms")
    assert schedule.get(*names) == ["d", "2", str(schedule.due_ms), "gap", schedule.get("next_ms")[0]]
    assert (record(schedule), scores(schedule)) == (b"new", before)
    targets = schedule.redis.call("LRANGE", keys.invocation_targets(schedule.invoke_id), 0, -1)
    assert targets == [b"i-1", b"i-2", b"i-3"]


def test_a_new_work_order_moves_the_invocation_to_its_new_command(schedule: Schedule) -> None:
    redis, invoke_id = schedule.redis, schedule.invoke_id
    redis.call("SET", keys.payload("a"), "old order")
    redis.call("SADD", keys.command_open("c-old"), invoke_id)
    redis.call("ZADD", keys.command_invocations("c-old"), 1, invoke_id)
    change = change_of(schedule, payload=b"order", payload_token="b", old_payload_token="a", old_payload_ttl_ms=5000)
    assert changed(schedule, change)[0] == [b"ok"]
    assert (redis.call("GET", keys.payload("b")), redis.call("PTTL", keys.payload("b"))) == (b"order", -1)
    assert 0 < redis.call("PTTL", keys.payload("a")) <= 5000
    assert [redis.call("SISMEMBER", keys.command_open(one), invoke_id) for one in ("c-old", "c-new")] == [0, 1]
    assert schedule.score(keys.command_invocations("c-old"), invoke_id) is None
    assert schedule.score(keys.command_invocations("c-new"), invoke_id) == 3.0


def test_new_parameters_leave_the_invocation_with_its_command(schedule: Schedule) -> None:
    redis, invoke_id = schedule.redis, schedule.invoke_id
    redis.call("SADD", keys.command_open("c-one"), invoke_id)
    redis.call("ZADD", keys.command_invocations("c-one"), 3, invoke_id)
    change = replace(change_of(schedule), command_id="c-one", old_command_id="c-one")
    assert changed(schedule, replace(change, payload=b"order", payload_token="b", old_payload_token="a"))[0] == [b"ok"]
    assert redis.call("SISMEMBER", keys.command_open("c-one"), invoke_id) == 1
    assert schedule.score(keys.command_invocations("c-one"), invoke_id) == 3.0


def test_a_new_schedule_counts_from_its_own_first_due_time(schedule: Schedule) -> None:
    schedule.set(run_reason="paused", run_count=3, run_due_ms=2)
    assert changed(schedule, change_of(schedule, due_ms=schedule.due_ms + 5, due_skipped="other"))[0] == [b"ok"]
    names = ("due_ms", "due_skip", "next_ms", "next_skip", "run_reason", "run_count", "run_due_ms")
    assert schedule.get(*names) == [str(schedule.due_ms + 5), "other", None, None, None, None, None]
    assert scores(schedule)[0] == schedule.due_ms + 5


@pytest.mark.parametrize(
    ("meanwhile", "word"),
    [
        ({"revision": 2}, b"changed"),
        ({"status": "stopped"}, b"changed"),
        ({"status": "ended"}, b"changed"),
        ({"due_ms": 1}, b"undecided"),
        ({"status": "paused"}, b"ok"),
    ],
)
def test_what_was_changed_meanwhile_is_left_as_it_is(
    schedule: Schedule, meanwhile: dict[str, Any], word: bytes
) -> None:
    schedule.set(**meanwhile)
    reply, is_told = changed(schedule, change_of(schedule, due_ms=schedule.due_ms + 5, new_targets=["i-1"]))
    is_done = word == b"ok"
    assert (reply, is_told, record(schedule)) == ([word], is_done, b"new" if is_done else b"old")
    assert schedule.redis.call("LLEN", keys.invocation_targets(schedule.invoke_id)) == int(is_done)


def test_a_record_that_was_tagged_meanwhile_and_a_target_that_is_gone_are_left_as_they_are(schedule: Schedule) -> None:
    change = change_of(schedule, new_targets=["i-1", "i-gone", "i-lost"])
    assert changed(schedule, replace(change, old_record=b"older")) == ([b"changed"], False)
    assert changed(schedule, change) == ([b"unknown", b"i-gone", b"i-lost"], False)
    assert (record(schedule), schedule.get("revision")) == (b"old", ["1"])
    assert schedule.redis.call("LLEN", keys.invocation_targets(schedule.invoke_id)) == 0


def test_a_due_time_that_has_passed_undecided_is_not_in_the_way_of_what_leaves_the_schedule(schedule: Schedule) -> None:
    schedule.set(due_ms=1)
    assert changed(schedule, change_of(schedule))[0] == [b"ok"]
    assert schedule.get("due_ms") == ["1"]


def test_one_that_has_lost_its_due_time_gets_another_with_a_new_schedule(schedule: Schedule) -> None:
    schedule.redis.call("HDEL", keys.timed(schedule.invoke_id), "due_ms")
    assert changed(schedule, change_of(schedule, due_ms=schedule.due_ms))[0] == [b"ok"]
    assert schedule.get("due_ms") == [str(schedule.due_ms)]
