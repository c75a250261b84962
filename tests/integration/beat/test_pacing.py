"""Invocations that do not run everywhere at once: never more than asked for, and no more after too many failures."""

from collections import Counter
from dataclasses import replace

import pytest
from integration.beat.conftest import Timing
from integration.beat.test_sweeper import MASTER, cut_off

from cloud_assistant.beat.releasing import Releases
from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import Pacing
from cloud_assistant.broker_config.security.signing import new_master_keys
from cloud_assistant.producer import Assistant, RunOptions, Targets
from harness.eventually import always, eventually

TARGETS = [f"i-{number}" for number in range(1, 8)]


@pytest.fixture
def paced(timing: Timing) -> Timing:
    for name in TARGETS[3:]:
        timing.assistant.add_instance(name)
    return timing


def start(timing: Timing, at_once: str = "2", stop_at: str = "", **options: int) -> str:
    request = RunOptions(at_once=at_once, stop_at=stop_at, timeout_seconds=10, **options)  # type: ignore[arg-type]
    return timing.assistant.run_command("echo 123", Targets(instance_ids=TARGETS), request).invoke_id


def in_state(timing: Timing, invoke_id: str, state: str) -> list[str]:
    return [one for one in TARGETS if timing.state(invoke_id, 0, one) == state]


def let_go(timing: Timing, invoke_id: str, *instance_ids: str) -> None:
    """Wait until exactly these may be taken by their agents."""
    eventually(lambda: in_state(timing, invoke_id, "Pending") == list(instance_ids), what=f"{instance_ids} let go")


def perform(timing: Timing, invoke_id: str, instance_id: str, state: str = "Success") -> None:
    timing.claim(invoke_id, 0, instance_id)
    timing.finish(invoke_id, 0, instance_id, state)


def release_once(timing: Timing) -> None:
    releases = Releases(timing.redis, token="beat", queue_count=10, confirm_ms=1000)
    releases.next_ms = 1
    releases.work(timing.server_ms())


def test_the_next_one_is_let_go_when_the_one_before_it_in_its_line_has_ended(paced: Timing) -> None:
    paced.start_beat()
    invoke_id = start(paced)
    assert in_state(paced, invoke_id, "Pending") == ["i-1", "i-2"]
    assert in_state(paced, invoke_id, "Scheduled") == TARGETS[2:]
    assert [paced.redis.call("LLEN", keys.queue(one)) for one in TARGETS] == [1, 1, 0, 0, 0, 0, 0]
    paced.claim(invoke_id, 0, "i-1")
    always(lambda: in_state(paced, invoke_id, "Pending") == ["i-2"], 1.0)
    perform(paced, invoke_id, "i-2")
    let_go(paced, invoke_id, "i-4")
    assert paced.redis.call("LLEN", keys.queue("i-4")) == 1
    perform(paced, invoke_id, "i-4", "Failed")
    let_go(paced, invoke_id, "i-6")
    # The other line goes on when its first one has ended, and no sooner.
    perform(paced, invoke_id, "i-1")
    let_go(paced, invoke_id, "i-3", "i-6")
    perform(paced, invoke_id, "i-3")
    let_go(paced, invoke_id, "i-5", "i-6")
    perform(paced, invoke_id, "i-6")
    for one, following in (("i-5", ["i-7"]), ("i-7", [])):
        perform(paced, invoke_id, one)
        let_go(paced, invoke_id, *following)
    [described] = paced.assistant.describe_invocations().items
    assert (described.status.state, described.status.counts) == ("PartialFailed", {"Success": 6, "Failed": 1})
    assert paced.redis.call("ZCARD", keys.TIMED_WAITING) == 0


def test_nobody_is_looked_at_who_stands_behind_one_that_waits_itself(paced: Timing) -> None:
    """That one wakes him: a beat does not go through the whole of a large fleet."""
    invoke_id = start(paced)
    found = paced.redis.call("ZRANGE", keys.TIMED_WAITING, "-inf", paced.server_ms(), "BYSCORE")
    assert sorted(found) == [execution_id(invoke_id, 0, one).encode() for one in ("i-3", "i-4")]
    last = paced.row(invoke_id, 0, "i-7")
    assert last is not None
    assert paced.redis.call("ZCOUNT", keys.TIMED_WAITING, last.deadline_ms, last.deadline_ms) == 3


def test_one_that_is_let_go_has_its_own_time_to_be_taken(paced: Timing) -> None:
    paced.start_beat()
    invoke_id = start(paced, "1", deliver_within_seconds=60)
    waiting = paced.row(invoke_id, 0, "i-2")
    perform(paced, invoke_id, "i-1")
    let_go(paced, invoke_id, "i-2")
    row, now_ms = paced.row(invoke_id, 0, "i-2"), paced.server_ms()
    assert waiting is not None
    assert row is not None
    assert waiting.deadline_ms > now_ms + 6 * 70_000
    assert now_ms + 50_000 < row.deadline_ms <= now_ms + 60_000
    execution = execution_id(invoke_id, 0, "i-2")
    for index in (keys.DEADLINES, keys.open_executions("i-2")):
        assert float(paced.redis.call("ZSCORE", index, execution)) == row.deadline_ms


@pytest.mark.parametrize("failure", ["Failed", "Timeout", "Error", "Invalid"])
def test_after_too_many_failures_nothing_more_is_started(paced: Timing, failure: str) -> None:
    paced.start_beat()
    invoke_id = start(paced, "2", "2")
    perform(paced, invoke_id, "i-1", failure)
    let_go(paced, invoke_id, "i-2", "i-3")
    perform(paced, invoke_id, "i-2", failure)
    let_go(paced, invoke_id, "i-3")
    # Those of the other line as well, while what has begun there goes on.
    eventually(lambda: in_state(paced, invoke_id, "Cancelled") == TARGETS[3:], what="called off")
    perform(paced, invoke_id, "i-3")
    row = paced.row(invoke_id, 0, "i-7")
    assert row is not None
    assert row.outcome.error_info == "not started: 2 of the others failed, and the limit was 2"
    assert [paced.redis.call("LLEN", keys.queue(one)) for one in TARGETS[3:]] == [0] * 4
    assert paced.redis.call("ZCARD", keys.TIMED_WAITING) == 0
    [described] = paced.assistant.describe_invocations().items
    assert described.status.state == "PartialFailed"


def test_what_was_not_taken_in_time_counts_as_a_failure(paced: Timing) -> None:
    paced.start_beat()
    invoke_id = start(paced, "1", "1", deliver_within_seconds=1)
    eventually(lambda: in_state(paced, invoke_id, "Cancelled") == TARGETS[1:], what="called off")
    eventually(lambda: in_state(paced, invoke_id, "Aborted") == ["i-1"], 20, "the first one settled")


def test_without_a_limit_any_number_may_fail(paced: Timing) -> None:
    paced.start_beat()
    invoke_id = start(paced, "1")
    for one, following in zip(TARGETS, [*TARGETS[1:], ""], strict=True):
        perform(paced, invoke_id, one, "Failed")
        let_go(paced, invoke_id, *filter(None, [following]))


def test_a_stop_ends_those_that_wait_as_well(paced: Timing) -> None:
    invoke_id = start(paced)
    paced.assistant.stop_invocation(invoke_id)
    assert in_state(paced, invoke_id, "Cancelled") == TARGETS
    paced.start_beat()
    eventually(lambda: paced.redis.call("ZCARD", keys.TIMED_WAITING) == 0, what="nobody waits")
    assert in_state(paced, invoke_id, "Cancelled") == TARGETS
    assert paced.redis.call("LLEN", keys.queue("i-3")) == 0


def test_whoever_stood_behind_one_that_is_stopped_does_not_overtake_the_one_before_it(paced: Timing) -> None:
    paced.start_beat()
    invoke_id = start(paced, "1", "1")
    paced.claim(invoke_id, 0, "i-1")
    paced.assistant.stop_invocation(invoke_id, ["i-2", "i-3"])
    always(lambda: in_state(paced, invoke_id, "Pending") == [], 1.5)
    paced.finish(invoke_id, 0, "i-1")
    # What was stopped is no failure, before its start or after it.
    let_go(paced, invoke_id, "i-4")
    perform(paced, invoke_id, "i-4", "Terminated")
    let_go(paced, invoke_id, "i-5")


def test_those_that_never_get_their_turn_hold_up_nobody(paced: Timing) -> None:
    paced.redis.call("HSET", keys.quarantine("i-3"), "reason", "a test")
    invoke_id = start(paced)
    assert paced.state(invoke_id, 0, "i-3") == "Invalid"
    paced.start_beat()
    always(lambda: in_state(paced, invoke_id, "Pending") == ["i-1", "i-2"], 1.0)
    perform(paced, invoke_id, "i-1")
    let_go(paced, invoke_id, "i-2", "i-5")


def test_an_instance_that_is_refused_counts_as_a_failure(paced: Timing) -> None:
    paced.redis.call("HSET", keys.quarantine("i-3"), "reason", "a test")
    paced.start_beat()
    invoke_id = start(paced, "1", "2")
    perform(paced, invoke_id, "i-1")
    let_go(paced, invoke_id, "i-2")
    perform(paced, invoke_id, "i-2")
    let_go(paced, invoke_id, "i-4")
    perform(paced, invoke_id, "i-4", "Failed")
    eventually(lambda: in_state(paced, invoke_id, "Cancelled") == TARGETS[4:], what="called off after two")


@pytest.mark.parametrize("obstacle", ["its queue is full", "it is too late"])
def test_a_failure_before_one_that_cannot_be_let_go_is_counted_once(paced: Timing, obstacle: str) -> None:
    # Nobody asks i-2, which never runs either and is a failure like i-1.
    paced.redis.call("HSET", keys.quarantine("i-2"), "reason", "a test")
    invoke_id = start(paced, "1", "4")
    perform(paced, invoke_id, "i-1", "Failed")
    if obstacle == "its queue is full":
        paced.redis.call("LPUSH", keys.queue("i-3"), *["another's message"] * 10)
    else:
        paced.redis.call("HSET", keys.execution("i-3", execution_id(invoke_id, 0, "i-3")), "deadline_ms", 1)

    def has_gone() -> bool:
        release_once(paced)
        return paced.state(invoke_id, 0, "i-4") != "Scheduled"

    eventually(has_gone, what="i-4 looked at after i-3, i-2 and i-1")
    assert paced.state(invoke_id, 0, "i-3") == "Aborted"
    assert paced.redis.call("HGET", keys.invocation(invoke_id), "failed_count") == b"3"
    assert paced.state(invoke_id, 0, "i-4") == "Pending"


def test_a_line_goes_on_behind_an_instance_that_was_deregistered(paced: Timing) -> None:
    paced.start_beat()
    invoke_id = start(paced)
    paced.assistant.remove_instance("i-3")
    assert paced.state(invoke_id, 0, "i-3") == "Aborted"
    perform(paced, invoke_id, "i-1")
    let_go(paced, invoke_id, "i-2", "i-5")


def test_what_takes_more_than_one_call_makes_the_same_lines(paced: Timing) -> None:
    many = [f"i-many{number}" for number in range(250)]
    paced.redis.pipeline_or_raise([("ZADD", keys.INSTANCES, 1, one) for one in many])
    request = RunOptions(at_once="120")
    invoke_id = paced.assistant.run_command("echo 123", Targets(instance_ids=many), request).invoke_id

    def counts() -> Counter[str]:
        return Counter(paced.state(invoke_id, 0, one) for one in many)

    assert counts() == {"Pending": 120, "Scheduled": 130}
    paced.start_beat()
    for one in many[:120]:
        perform(paced, invoke_id, one)
    eventually(lambda: counts() == {"Success": 120, "Pending": 120, "Scheduled": 10}, 20, "the second ones let go")
    for one in many[120:]:
        eventually(lambda one=one: paced.state(invoke_id, 0, one) == "Pending", 20)  # type: ignore[misc]
        perform(paced, invoke_id, one)
    assert counts() == {"Success": 250}


def test_a_dispatch_that_was_cut_off_is_completed_in_its_lines(paced: Timing) -> None:
    # Only the first one's row was written, and it has ended before the others' were.
    invocation = cut_off(paced, age_ms=10_000, master=MASTER, pacing=Pacing(at_once_count=1))
    perform(paced, invocation.invoke_id, "i-1")
    Unfinished(paced.redis, MASTER, 100).work()

    def states() -> list[str]:
        release_once(paced)
        return [paced.state(invocation.invoke_id, 0, one) for one in TARGETS[:3]]

    assert states() == ["Success", "Pending", "Scheduled"]
    always(lambda: states() == ["Success", "Pending", "Scheduled"], 0.5)
    perform(paced, invocation.invoke_id, "i-2")
    eventually(lambda: states() == ["Success", "Success", "Pending"])


def test_a_dispatch_in_lines_is_completed_as_long_as_its_last_one_may_be_taken(paced: Timing) -> None:
    # Each has a minute for its delivery, and its turn comes when those before it have had theirs.
    in_time, too_late = (
        cut_off(paced, age_ms=minutes * 60_000, master=MASTER, pacing=Pacing(at_once_count=1)) for minutes in (2, 20)
    )
    Unfinished(paced.redis, MASTER, 100).work()
    rows = [paced.row(one.invoke_id, 0, "i-3") for one in (in_time, too_late)]
    assert [row.state for row in rows if row] == ["Scheduled", "Pending"]
    now_ms = paced.server_ms()
    assert [row.deadline_ms > now_ms for row in rows if row] == [True, False]


def test_nobody_waits_in_a_dispatch_that_cannot_be_completed(paced: Timing) -> None:
    invocation = cut_off(paced, age_ms=10_000, pacing=Pacing(at_once_count=1), with_rows=False)
    Unfinished(paced.redis, new_master_keys(), 100).work()
    assert {paced.state(invocation.invoke_id, 0, one) for one in TARGETS[:3]} == {"Pending"}
    row = paced.row(invocation.invoke_id, 0, "i-3")
    assert row is not None
    assert row.deadline_ms < paced.server_ms(), "too late for everybody, and settled by the sweeper"


def test_when_the_beat_is_killed_another_goes_on(paced: Timing) -> None:
    first = paced.start_beat()
    invoke_id = start(paced, "1")
    perform(paced, invoke_id, "i-1")
    let_go(paced, invoke_id, "i-2")
    first.sigkill()
    perform(paced, invoke_id, "i-2")
    paced.start_beat("other")
    let_go(paced, invoke_id, "i-3")


def test_a_beat_of_an_earlier_version_lets_nobody_go(paced: Timing) -> None:
    invoke_id = start(paced, "1")
    execution = execution_id(invoke_id, 0, "i-2")
    row = keys.execution("i-2", execution)
    # It takes what is waited for to be on the same instance, and knows no seventh key.
    touched = [
        row,
        keys.open_executions("i-2"),
        keys.queue("i-2"),
        keys.execution("i-2", execution_id(invoke_id, 0, "i-1")),
        keys.TIMED_WAITING,
        keys.DEADLINES,
    ]
    assert run(paced.redis, ("FCALL", "ca_release_5", len(touched), *touched, execution, "message", 250, 100)) == [
        b"waits",
        b"",
    ]
    assert paced.state(invoke_id, 0, "i-2") == "Scheduled"


def test_a_stolen_instance_cannot_have_the_executions_of_others_stopped(paced: Timing) -> None:
    invoke_id = start(paced, "1")
    paced.claim(invoke_id, 0, "i-1")
    row = keys.execution("i-2", execution_id(invoke_id, 0, "i-2"))
    paced.redis.call("HSET", row, "stops_previous", "1")
    release_once(paced)
    assert paced.state(invoke_id, 0, "i-1") == "Running"


def test_what_is_no_execution_is_not_waited_for(paced: Timing) -> None:
    invoke_id = start(paced, "1")
    execution = execution_id(invoke_id, 0, "i-2")
    paced.redis.call("HSET", keys.execution("i-2", execution), "waits_for", "ca:audit:head@x")
    release_once(paced)
    assert paced.state(invoke_id, 0, "i-2") == "Scheduled"
    assert float(paced.redis.call("ZSCORE", keys.TIMED_WAITING, execution)) > paced.server_ms() + 60_000


def test_a_producer_with_a_key_signs_for_all_the_time_that_they_may_wait(paced: Timing) -> None:
    settings = replace(paced.assistant.settings)
    with Assistant(settings=settings) as assistant:
        invoked = assistant.run_command(
            "echo 123", Targets(instance_ids=TARGETS), RunOptions(at_once="1", deliver_within_seconds=60)
        )
    row = paced.redis.call("HMGET", keys.execution("i-7", execution_id(invoked.invoke_id, 0, "i-7")), "envelope")
    expires_ms = int(row[0].partition(b'"expires_ms":')[2].partition(b",")[0])
    last = paced.row(invoked.invoke_id, 0, "i-7")
    assert last is not None
    assert expires_ms >= last.deadline_ms
