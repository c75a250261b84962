"""What a due time comes to for each of its targets."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.firings import FiringChunk, FiringTarget
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .firing_schedule import QUEUE_COUNT, Schedule, ids


def overlapping(schedule: Schedule, policy: str, **before: Argument) -> FiringChunk:
    """The due time of i-1, whose execution before this one has these fields."""
    latest_ms = schedule.previous("i-1", **before)
    return replace(schedule.chunk(schedule.target("i-1", latest_ms=latest_ms)), overlap=policy)


@pytest.mark.parametrize("state", ["Running", "Stopping", "Pending", "Scheduled"])
def test_each_policy_deals_in_its_way_with_what_is_not_over(schedule: Schedule, state: str) -> None:
    for number, policy in enumerate(("skip", "queue", "cancel", "allow")):
        schedule.due_ms += number
        schedule.set(due_ms=schedule.due_ms)
        schedule.open(overlapping(schedule, policy, state=state))
        firing, [execution] = schedule.firing(), ids(schedule, "i-1")
        row = keys.execution("i-1", execution)
        found = schedule.redis.call("HMGET", row, "state", "waits_for", "stops_previous")
        earlier = execution_id(schedule.invoke_id, schedule.due_ms - 60_000, "i-1").encode()
        is_waiting = policy in ("queue", "cancel")
        assert (schedule.score(keys.TIMED_WAITING, execution) is not None) is is_waiting
        assert (schedule.score(keys.DEADLINES, execution) is not None) is (policy == "allow")
        assert (schedule.score(keys.open_executions("i-1"), execution) is not None) is (policy != "skip")
        assert firing.overlap == (("i-1",) if policy == "skip" else ())
        assert firing.waiting_count == int(is_waiting)
        assert (firing.status, firing.reason) == (("skipped", "overlap") if policy == "skip" else ("fired", ""))
        assert (
            found
            == {
                "skip": [None, None, None],
                "queue": [b"Scheduled", earlier, None],
                "cancel": [b"Scheduled", earlier, b"1"],
                "allow": [b"Pending", None, None],
            }[policy]
        )
    assert schedule.get("fired_count", "skipped_count") == ["3", "1"]
    assert len(schedule.messages("i-1")) == 1


@pytest.mark.parametrize(
    "before",
    [
        {"state": "Success"},
        {"state": "Aborted"},
        {"state": "Pending", "deadline_ms": 1},
        {"state": "Scheduled", "deadline_ms": 1},
        {"state": "Success", "waits_for": "t-x", "claimed_ms": 5},
        {},
    ],
)
def test_what_can_run_no_more_holds_up_nothing(schedule: Schedule, before: dict[str, str]) -> None:
    schedule.open(overlapping(schedule, "skip", **before))
    assert schedule.states()[0] == "Pending"
    assert schedule.firing().created_count == 1


def test_after_one_that_never_ran_the_next_waits_for_what_that_one_waited_for(schedule: Schedule) -> None:
    schedule.open(overlapping(schedule, "queue", state="Aborted", waits_for="t-1.5@i-1"))
    [execution] = ids(schedule, "i-1")
    found = schedule.redis.call("HMGET", keys.execution("i-1", execution), "state", "waits_for", "stops_previous")
    assert found == [b"Scheduled", b"t-1.5@i-1", None]


def test_who_stood_before_it_in_a_line_is_none_of_the_next_firings_business(schedule: Schedule) -> None:
    schedule.open(overlapping(schedule, "queue", state="Aborted", waits_for="t-1.5@j-1"))
    [execution] = ids(schedule, "i-1")
    assert schedule.redis.call("HGET", keys.execution("i-1", execution), "state") == b"Pending"


def test_jitter_lets_an_execution_wait_for_its_moment(schedule: Schedule) -> None:
    moment_ms = server_ms(schedule.redis) + 20_000
    past_ms = schedule.due_ms - 5
    chunk = schedule.chunk(
        schedule.target("i-1", not_before_ms=moment_ms), schedule.target("i-2", not_before_ms=past_ms)
    )
    schedule.open(chunk)
    assert schedule.states() == ["Scheduled", "Pending", ""]
    [first, second] = ids(schedule, "i-1", "i-2")
    assert schedule.score(keys.TIMED_WAITING, first) == moment_ms
    assert schedule.score(keys.TIMED_WAITING, second) is None
    row = keys.execution("i-1", first)
    assert schedule.redis.call("HMGET", row, "not_before_ms", "waits_for") == [str(moment_ms).encode(), b""]
    assert (schedule.firing().created_count, schedule.firing().waiting_count) == (1, 1)


# What gets none


def refuse_deregistered(schedule: Schedule) -> None:
    schedule.redis.call("ZREM", keys.INSTANCES, "i-2")


def refuse_in_quarantine(schedule: Schedule) -> None:
    schedule.redis.call("HSET", keys.quarantine("i-2"), "reason", "seen twice")


def refuse_full_queue(schedule: Schedule) -> None:
    schedule.redis.call("LPUSH", keys.queue("i-1"), *["{}"] * (QUEUE_COUNT - 1))
    schedule.redis.call("LPUSH", keys.queue("i-2"), *["{}"] * QUEUE_COUNT)


@pytest.mark.parametrize(
    ("refuse", "state", "code"),
    [
        (refuse_deregistered, "Aborted", "InstanceNotExists"),
        (refuse_in_quarantine, "Invalid", "InstanceQuarantined"),
        (refuse_full_queue, "Aborted", "TaskConcurrencyLimit"),
    ],
)
def test_an_instance_that_cannot_have_it_gets_the_reason_and_the_others_their_execution(
    schedule: Schedule, refuse: object, state: str, code: str
) -> None:
    assert callable(refuse)
    refuse(schedule)
    [execution] = ids(schedule, "i-2")
    listening = schedule.redis.subscribe("ca:done:test")
    schedule.open(schedule.chunk())
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    assert heard[1] == f"end {execution} {state}".encode()
    assert schedule.states() == ["Pending", state, "Pending"]
    row = schedule.row("i-2")
    assert row is not None
    assert row.outcome.error_code == code
    assert row.outcome.finished_ms == schedule.firing().decided_ms
    assert not {b"envelope", b"mac"} & set(schedule.redis.call("HKEYS", keys.execution("i-2", execution)))
    assert schedule.score(keys.open_executions("i-2"), execution) is None
    assert schedule.score(keys.DEADLINES, execution) is None
    assert schedule.score(keys.instance_history("i-2"), execution) is not None
    assert (schedule.firing().status, schedule.firing().created_count, schedule.firing().refused_count) == (
        "fired",
        2,
        1,
    )


def test_a_firing_that_all_refuse_has_taken_place(schedule: Schedule) -> None:
    schedule.redis.call("DEL", keys.INSTANCES)
    schedule.open(schedule.chunk())
    assert (schedule.firing().status, schedule.firing().refused_count) == ("fired", 3)
    assert schedule.get("fired_count", "skipped_count") == ["1", None]


def test_a_firing_whose_targets_were_all_stopped_is_left_out(schedule: Schedule) -> None:
    nobody = replace(schedule.chunk(), targets=())
    assert schedule.open(nobody).is_done
    assert (schedule.firing().status, schedule.firing().reason) == ("skipped", "stopped")
    assert schedule.get("fired_count", "skipped_count") == [None, "1"]


@pytest.mark.parametrize("broken", ["open", "queue", "latest"])
def test_what_one_instance_has_made_unreadable_takes_the_due_time_from_no_other(
    schedule: Schedule, broken: str
) -> None:
    earlier_ms = schedule.previous("i-2", state="Success")
    names = {
        "open": keys.open_executions("i-2"),
        "queue": keys.queue("i-2"),
        "latest": keys.execution("i-2", execution_id(schedule.invoke_id, earlier_ms, "i-2")),
    }
    schedule.redis.call("SET", names[broken], "nonsense")
    targets: Sequence[FiringTarget] = [
        schedule.target("i-1"),
        schedule.target("i-2", latest_ms=earlier_ms),
        schedule.target("i-3"),
    ]
    schedule.open(schedule.chunk(*targets))
    assert schedule.states() == ["Pending", "Error", "Pending"]
    row = schedule.row("i-2")
    assert row is not None
    assert (row.outcome.error_code, row.timeout_seconds) == ("ExecutionException", 10)
    assert "assist instance quarantine" in row.outcome.error_info
    firing = schedule.firing()
    assert (firing.status, firing.created_count, firing.refused_count) == ("fired", 2, 1)


def test_what_was_fired_can_be_claimed_with_what_was_signed(schedule: Schedule) -> None:
    schedule.open(schedule.chunk())
    [execution] = ids(schedule, "i-1")
    row = keys.execution("i-1", execution)
    names = ("envelope", "mac", "key_id", "done", "attempt", "firing_ms", "invoke_id")
    assert schedule.redis.call("HMGET", row, *names) == [
        b"{}",
        b"mac",
        b"k1",
        b"ca:done:test",
        b"1",
        str(schedule.due_ms).encode(),
        schedule.invoke_id.encode(),
    ]
