"""Schedules that run on a few instances at a time; how lines go on is tested with those of one-off invocations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from integration.beat.conftest import Timing
from integration.beat.test_large_dispatch import TARGETS as MANY
from integration.beat.test_large_dispatch import open_one

from cloud_assistant.beat.decisions import Policies
from cloud_assistant.beat.dispatching import Dispatches
from cloud_assistant.beat.firing_chunks import CHUNK_COUNT, ChunkBuilder
from cloud_assistant.beat.preparing import Prepared, Preparer
from cloud_assistant.beat.releasing import Releases
from cloud_assistant.beat.removal import remove_firings
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.functions.firings import (
    FiringPacing,
    continue_firing_command,
    firing_pacing,
    firing_pacing_command,
    firing_step,
    open_firing_command,
)
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.messages import decode_envelope
from cloud_assistant.broker_config.records import Pacing, RepeatMode, Schedule
from cloud_assistant.producer import RunOptions, Targets
from cloud_assistant.producer.timed.modifying import TimedModification
from harness.eventually import always, eventually

TARGETS = [f"i-{number}" for number in range(1, 8)]
HOURLY = "0 0 * * * *"
BUILDER = ChunkBuilder(None, "beat", 100)
POLICIES = Policies("latest", 10, 3_600_000, 60_000)


@pytest.fixture
def fleet(timing: Timing) -> Timing:
    for name in TARGETS[3:]:
        timing.assistant.add_instance(name)
    return timing


def invoke(
    timing: Timing,
    at_once: str,
    stop_at: str = "",
    *,
    targets: Sequence[str] = TARGETS,
    frequency: str = HOURLY,
    deliver_within_seconds: int = 600,
    **schedule: str | float,
) -> str:
    options = RunOptions(
        at_once=at_once,
        stop_at=stop_at,
        timeout_seconds=10,
        deliver_within_seconds=deliver_within_seconds,
        schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency=frequency, **schedule),  # type: ignore[arg-type]
    )
    return timing.assistant.run_command("echo 123", Targets(instance_ids=targets), options).invoke_id


def fire(timing: Timing, invoke_id: str, seconds_ago: int = 0) -> int:
    """Have it be due, and do what a beat does first; answers the due time."""
    due_ms = timing.server_ms() - seconds_ago * 1000
    timing.set_back(invoke_id, due_ms)
    [prepared] = Preparer(timing.redis, BUILDER, POLICIES).prepare([invoke_id], timing.server_ms())
    assert isinstance(prepared, Prepared)
    step = firing_step(run(timing.redis, prepared.command))
    assert (step.word, step.is_done) == ("opened", True)
    return due_ms


def in_state(timing: Timing, invoke_id: str, firing_ms: int, *states: str) -> list[str]:
    return [one for one in TARGETS if timing.state(invoke_id, firing_ms, one) in states]


def line(timing: Timing, invoke_id: str, firing_ms: int) -> list[str]:
    return [one.decode() for one in timing.redis.call("LRANGE", keys.firing_line(invoke_id, firing_ms), 0, -1)]


def let_go(timing: Timing, invoke_id: str, firing_ms: int, *instance_ids: str) -> None:
    """Wait until exactly these may be taken by their agents."""
    eventually(
        lambda: in_state(timing, invoke_id, firing_ms, "Pending") == list(instance_ids), what=f"{instance_ids} let go"
    )


def perform(timing: Timing, invoke_id: str, firing_ms: int, instance_id: str, state: str = "Success") -> None:
    timing.claim(invoke_id, firing_ms, instance_id)
    timing.finish(invoke_id, firing_ms, instance_id, state)


def test_each_due_time_goes_to_so_many_and_on_when_they_have_ended(fleet: Timing) -> None:
    fleet.start_beat()
    invoke_id = invoke(fleet, "2", frequency="0 0 0 1 1 *")
    fleet.set_back(invoke_id, fleet.server_ms())
    [firing] = fleet.wait_for_firings(invoke_id, 1)
    due_ms = firing.due_ms
    assert (firing.created_count, firing.waiting_count) == (2, 5)
    assert [fleet.redis.call("LLEN", keys.queue(one)) for one in TARGETS] == [1, 1, 0, 0, 0, 0, 0]
    fleet.claim(invoke_id, due_ms, "i-1")
    always(lambda: in_state(fleet, invoke_id, due_ms, "Pending") == ["i-2"], 1.0)
    for one, following in (("i-2", "i-4"), ("i-4", "i-6"), ("i-6", "i-7"), ("i-7", "i-5"), ("i-5", "i-3")):
        perform(fleet, invoke_id, due_ms, one)
        let_go(fleet, invoke_id, due_ms, following)
    perform(fleet, invoke_id, due_ms, "i-3")
    fleet.finish(invoke_id, due_ms, "i-1")
    assert in_state(fleet, invoke_id, due_ms, "Success") == TARGETS
    assert fleet.redis.call("ZCARD", keys.TIMED_WAITING) == 0


def test_each_has_its_own_time_to_be_taken_and_the_last_that_of_all_before_it(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "1", deliver_within_seconds=60)
    due_ms = fire(fleet, invoke_id)
    waiting = fleet.row(invoke_id, due_ms, "i-7")
    assert waiting is not None
    life_ms = 60_000 + 6 * (60_000 + 10_000 + 60_000)
    assert due_ms + life_ms <= waiting.deadline_ms < due_ms + life_ms + 10_000
    row = fleet.redis.call("HGETALL", keys.execution("i-7", execution_id(invoke_id, due_ms, "i-7")))
    fields = dict(zip(row[::2], row[1::2], strict=True))
    assert decode_envelope(fields[b"envelope"]).expires_ms > waiting.deadline_ms
    assert fields[b"deliver_within_ms"] == b"60000"
    first = fleet.row(invoke_id, due_ms, "i-1")
    assert first is not None
    assert due_ms + 60_000 <= first.deadline_ms < due_ms + 70_000
    for index in (keys.DEADLINES, keys.open_executions("i-1")):
        assert float(fleet.redis.call("ZSCORE", index, first.execution_id)) == first.deadline_ms


def test_without_a_time_for_delivery_of_its_own_each_has_that_of_an_invocation_that_runs_once(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "1", deliver_within_seconds=0)
    due_ms = fire(fleet, invoke_id)
    reading = firing_pacing(fleet.redis.call(*firing_pacing_command(invoke_id, due_ms)))
    assert reading is not None
    assert reading.deliver_within_ms == 60_000


def test_who_is_busy_or_waits_still_stands_in_no_line_of_the_next_firing(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "2")
    first_ms = fire(fleet, invoke_id, seconds_ago=2)
    fleet.claim(invoke_id, first_ms, "i-1")
    perform(fleet, invoke_id, first_ms, "i-2")
    fleet.assistant.redis.call("ZREM", keys.TIMED_WAITING, execution_id(invoke_id, first_ms, "i-7"))
    row = keys.execution("i-7", execution_id(invoke_id, first_ms, "i-7"))
    # It never ran, and its line in the earlier firing is none of the next one's business.
    fleet.redis.call("HSET", row, "state", "Aborted")
    second_ms = fire(fleet, invoke_id)
    [firing] = [one for one in fleet.firings(invoke_id) if one.due_ms == second_ms]
    assert firing.overlap == ("i-1", "i-3", "i-4", "i-5", "i-6")
    assert line(fleet, invoke_id, second_ms) == ["i-2", "i-7"]
    assert in_state(fleet, invoke_id, second_ms, "Pending") == ["i-2", "i-7"]


def test_who_waited_for_his_own_predecessor_under_another_policy_is_left_out(fleet: Timing) -> None:
    invoke_id = fleet.invoke("i-1", "i-2", frequency=HOURLY, overlap="queue")
    first_ms = fire(fleet, invoke_id, seconds_ago=3)
    fleet.claim(invoke_id, first_ms, "i-1")
    second_ms = fire(fleet, invoke_id, seconds_ago=2)
    fleet.redis.call("HSET", keys.execution("i-1", execution_id(invoke_id, second_ms, "i-1")), "state", "Aborted")
    fleet.assistant.timed.modify(invoke_id, TimedModification(at_once="1", policies={"overlap": "skip"}))
    third_ms = fire(fleet, invoke_id)
    # What its last execution waited for runs still.
    assert (fleet.state(invoke_id, first_ms, "i-1"), line(fleet, invoke_id, third_ms)) == ("Running", [])
    [firing] = [one for one in fleet.firings(invoke_id) if one.due_ms == third_ms]
    assert firing.overlap == ("i-1", "i-2")


def test_failures_end_a_firing_and_count_for_it_alone(fleet: Timing) -> None:
    fleet.start_beat()
    invoke_id = invoke(fleet, "2", "2", frequency="0 0 0 1 1 *")
    for _ in range(2):
        due_ms = fleet.server_ms()
        fleet.set_back(invoke_id, due_ms)
        eventually(lambda due_ms=due_ms: len(in_state(fleet, invoke_id, due_ms, "Pending")) == 2)  # type: ignore[misc]
        perform(fleet, invoke_id, due_ms, "i-1", "Failed")
        let_go(fleet, invoke_id, due_ms, "i-2", "i-3")
        perform(fleet, invoke_id, due_ms, "i-2", "Failed")
        eventually(lambda due_ms=due_ms: in_state(fleet, invoke_id, due_ms, "Cancelled") == TARGETS[3:])  # type: ignore[misc]
        perform(fleet, invoke_id, due_ms, "i-3")
        row = fleet.row(invoke_id, due_ms, "i-7")
        assert row is not None
        assert row.outcome.error_info == "not started: 2 of the others failed, and the limit was 2"
    assert fleet.redis.call("ZCARD", keys.TIMED_WAITING) == 0
    assert fleet.timed(invoke_id).goes_on


def test_who_gets_no_execution_takes_no_place(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "2")
    fleet.redis.call("SET", keys.quarantine("i-1"), "x")
    fleet.redis.call("ZREM", keys.INSTANCES, "i-2")
    fleet.redis.call("RPUSH", keys.queue("i-3"), *["message"] * 100)
    fleet.redis.call("SET", keys.open_executions("i-5"), "spoiled")
    due_ms = fire(fleet, invoke_id)
    assert line(fleet, invoke_id, due_ms) == ["i-4", "i-6", "i-7"]
    states = [fleet.state(invoke_id, due_ms, one) for one in TARGETS]
    assert states == ["Invalid", "Aborted", "Aborted", "Pending", "Error", "Pending", "Scheduled"]
    row = fleet.row(invoke_id, due_ms, "i-7")
    assert row is not None
    waits_for = fleet.redis.call("HGET", keys.execution("i-7", row.execution_id), "waits_for").decode()
    assert waits_for == execution_id(invoke_id, due_ms, "i-4")


def test_a_queue_that_is_full_is_no_matter_before_ones_turn(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "2")
    fleet.redis.call("RPUSH", keys.queue("i-3"), *["message"] * 100)
    due_ms = fire(fleet, invoke_id)
    assert in_state(fleet, invoke_id, due_ms, "Scheduled") == TARGETS[2:]


@pytest.fixture
def crowd(timing: Timing) -> Timing:
    for one in MANY:
        register_instance(timing.redis, one, {}, now_ms=1, must_be_new=True)
    return timing


def opened(crowd: Timing, at_once: str) -> tuple[str, Prepared]:
    invoke_id = invoke(crowd, at_once, targets=MANY)
    crowd.set_back(invoke_id, crowd.server_ms())
    return invoke_id, open_one(crowd, invoke_id, BUILDER)


def test_lines_go_across_the_parts_of_a_large_dispatch_whatever_is_changed_meanwhile(crowd: Timing) -> None:
    invoke_id, prepared = opened(crowd, "300")
    due_ms = prepared.due_ms
    # It is not looked at for idle lines before all are there; nor does it matter that it runs otherwise from now on.
    crowd.assistant.timed.modify(invoke_id, TimedModification(policies={"pacing": None}))
    lease_ms = float(crowd.redis.call("ZRANGE", keys.TIMED_DISPATCHING, 0, 0, "WITHSCORES")[1])
    eventually(lambda: crowd.server_ms() > lease_ms)
    dispatches = Dispatches(crowd.redis, ChunkBuilder(None, "beat-two", 100))
    dispatches.next_ms = lease_ms
    while crowd.firings(invoke_id)[0].status == "dispatching":
        assert dispatches.work(crowd.server_ms())
    [firing] = crowd.firings(invoke_id)
    assert (firing.created_count, firing.waiting_count) == (300, len(MANY) - 300)
    assert line(crowd, invoke_id, due_ms) == MANY
    rows = [keys.execution(one, execution_id(invoke_id, due_ms, one)) for one in MANY]
    replies = crowd.redis.pipeline_or_raise([("HMGET", row, "state", "waits_for", "followed_by") for row in rows])
    for place, (state, waits_for, followed_by) in enumerate(replies):
        before = execution_id(invoke_id, due_ms, MANY[place - 300]) if place >= 300 else ""
        behind = execution_id(invoke_id, due_ms, MANY[place + 300]) if place + 300 < len(MANY) else ""
        wanted = ("Scheduled" if before else "Pending", before, behind)
        assert (state.decode(), (waits_for or b"").decode(), (followed_by or b"").decode()) == wanted


def test_lines_are_not_idle_before_all_stand_in_them(crowd: Timing) -> None:
    invoke_id, prepared = opened(crowd, "300")
    for one in MANY[1:300]:
        perform(crowd, invoke_id, prepared.due_ms, one)
    releases = Releases(crowd.redis, token="beat", queue_count=10, confirm_ms=1000)
    releases.next_ms = 1
    releases.work(crowd.server_ms())
    states = [crowd.state(invoke_id, prepared.due_ms, one) for one in MANY[300:400]]
    assert states == ["Scheduled", *["Pending"] * 99]
    assert crowd.redis.call("EXISTS", keys.firing_followers(invoke_id, prepared.due_ms)) == 0


def test_a_beat_of_an_earlier_release_fires_nothing_of_it(crowd: Timing) -> None:
    invoke_id = invoke(crowd, "300", targets=MANY)
    crowd.set_back(invoke_id, crowd.server_ms())
    [prepared] = Preparer(crowd.redis, BUILDER, POLICIES).prepare([invoke_id], crowd.server_ms())
    assert isinstance(prepared, Prepared)
    assert prepared.chunk is not None
    unknowing = replace(prepared.chunk, pacing=None)
    assert firing_step(run(crowd.redis, open_firing_command(unknowing))).word == "changed"
    assert firing_step(run(crowd.redis, prepared.command)).word == "opened"
    following = replace(unknowing, first_place=CHUNK_COUNT, end_place=2 * CHUNK_COUNT)
    assert firing_step(run(crowd.redis, continue_firing_command(following))).word == "lost"


def test_nothing_of_its_lines_is_left_with_the_firing(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "2")
    due_ms = fire(fleet, invoke_id)
    reading = firing_pacing(fleet.redis.call(*firing_pacing_command(invoke_id, due_ms)))
    assert reading == FiringPacing(at_once_count=2, failures_count=0, deliver_within_ms=600_000, life_ms=2_610_000)
    for name in (keys.firing_line(invoke_id, due_ms), keys.firing_followers(invoke_id, due_ms)):
        fleet.redis.call("RPUSH", name, "x")
    assert 0 < fleet.redis.call("PTTL", keys.firing_line(invoke_id, due_ms)) <= 31 * 86_400_000
    remove_firings(fleet.redis, invoke_id, [due_ms], TARGETS)
    assert fleet.redis.call("KEYS", f"ca:firing:{invoke_id}:*") == []


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ({"overlap": "queue"}, "--overlap queue"),
        ({"overlap": "cancel"}, "--overlap cancel"),
        ({"misfire": "all"}, "--misfire all"),
        ({"jitter_seconds": 5.0}, "--jitter"),
    ],
)
def test_an_instance_waits_for_its_turn_or_for_something_else(
    fleet: Timing, schedule: dict[str, Any], told: str
) -> None:
    with pytest.raises(RequestInvalid, match=told):
        invoke(fleet, "2", **schedule)
    invoke_id = invoke(fleet, "", **schedule)
    with pytest.raises(RequestInvalid, match=told):
        fleet.assistant.timed.modify(invoke_id, TimedModification(at_once="2"))
    invoke(fleet, "2", overlap="allow")


def test_a_change_holds_from_the_next_due_time_on(fleet: Timing) -> None:
    invoke_id = invoke(fleet, "100%", "3")
    assert fleet.timed(invoke_id).schedule.pacing is None
    for change, expected in (
        (TimedModification(at_once="50%", stop_at="1"), Pacing(at_once_count=4, failures_count=1)),
        (TimedModification(frequency="0 30 * * * *"), Pacing(at_once_count=4, failures_count=1)),
        (TimedModification(at_once="3"), Pacing(at_once_count=3, failures_count=1)),
        (TimedModification(stop_at="50%"), Pacing(at_once_count=3, failures_count=4)),
        (TimedModification(policies={"pacing": None}), None),
    ):
        fleet.assistant.timed.modify(invoke_id, change)
        assert fleet.timed(invoke_id).schedule.pacing == expected
        due_ms = fire(fleet, invoke_id)
        at_once_count = expected.at_once_count if expected else len(TARGETS)
        assert len(in_state(fleet, invoke_id, due_ms, "Pending")) == at_once_count
        for one in TARGETS:
            perform(fleet, invoke_id, due_ms, one)
            fleet.redis.call("HSET", keys.execution(one, execution_id(invoke_id, due_ms, one)), "state", "Success")
