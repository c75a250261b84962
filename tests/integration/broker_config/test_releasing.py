"""What becomes of an execution that waits for its moment, or for the end of the one before it."""

import json
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.functions.firings import release_command, wants_previous_stopped
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.records import Invocation
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.task_message import fill, template
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .conftest import Ledger

RECHECK_MS = 30_000
QUEUE_COUNT = 2


def waiting(ledger: Ledger, **fields: Argument) -> Invocation:
    """An execution as a firing leaves it that has to wait."""
    invocation = ledger.dispatch("i-1")
    execution = ledger.execution(invocation, "i-1")
    ledger.redis.call("DEL", keys.queue("i-1"))
    ledger.redis.call("ZREM", keys.DEADLINES, execution)
    ledger.redis.call("ZADD", keys.TIMED_WAITING, 1, execution)
    set_fields(ledger, invocation, state="Scheduled", not_before_ms=0, waits_for="", **fields)
    return invocation


def set_fields(ledger: Ledger, invocation: Invocation, **fields: Argument) -> None:
    row = keys.execution("i-1", ledger.execution(invocation, "i-1"))
    ledger.redis.call("HSET", row, *(part for pair in fields.items() for part in pair))


def release(ledger: Ledger, invocation: Invocation, before: Invocation | None = None) -> Any:
    execution = ledger.execution(invocation, "i-1")
    command = release_command(
        "i-1",
        execution,
        fill(template("", "test"), execution),
        waits_for=ledger.execution(before, "i-1") if before else "",
        recheck_ms=RECHECK_MS,
        queue_count=QUEUE_COUNT,
    )
    return run(ledger.redis, command)


def looked_at_again_ms(ledger: Ledger, invocation: Invocation) -> float | None:
    score = ledger.redis.call("ZSCORE", keys.TIMED_WAITING, ledger.execution(invocation, "i-1"))
    return None if score is None else float(score)


def assert_still_waits(ledger: Ledger, invocation: Invocation, before_ms: int) -> None:
    assert ledger.row(invocation, "i-1").state == "Scheduled"
    again_ms = looked_at_again_ms(ledger, invocation)
    assert again_ms is not None
    assert before_ms + RECHECK_MS <= again_ms <= server_ms(ledger.redis) + RECHECK_MS
    assert messages_of(ledger) == []


def messages_of(ledger: Ledger) -> list[str]:
    return [json.loads(one)["headers"]["id"] for one in ledger.redis.call("LRANGE", keys.queue("i-1"), 0, -1)]


def test_what_nothing_holds_back_gets_its_message_and_can_be_claimed(ledger: Ledger) -> None:
    invocation = waiting(ledger)
    execution, deadline_ms = ledger.execution(invocation, "i-1"), ledger.row(invocation, "i-1").deadline_ms
    listening = ledger.redis.subscribe(invocation.done_channel)
    assert release(ledger, invocation) == [b"released"]
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    assert heard[1] == f"state {execution} Pending".encode()
    assert messages_of(ledger) == [execution]
    assert float(ledger.redis.call("ZSCORE", keys.DEADLINES, execution)) == deadline_ms
    assert looked_at_again_ms(ledger, invocation) is None
    assert isinstance(ledger.claim(invocation, "i-1"), Claimed)
    ledger.redis.call("ZADD", keys.TIMED_WAITING, 1, execution)
    assert release(ledger, invocation) == [b"gone"]
    assert looked_at_again_ms(ledger, invocation) is None
    assert messages_of(ledger) == [execution]


def test_before_its_moment_it_waits_for_that_even_when_the_queue_is_full(ledger: Ledger) -> None:
    moment_ms = server_ms(ledger.redis) + 20_000
    invocation = waiting(ledger)
    set_fields(ledger, invocation, not_before_ms=moment_ms)
    ledger.redis.call("LPUSH", keys.queue("i-1"), "{}", "{}")
    assert release(ledger, invocation) == [b"waits", b""]
    assert looked_at_again_ms(ledger, invocation) == moment_ms
    assert ledger.row(invocation, "i-1").state == "Scheduled"
    assert ledger.redis.call("LLEN", keys.queue("i-1")) == 2


@pytest.mark.parametrize("state", ["Running", "Stopping", "Pending", "Scheduled"])
@pytest.mark.parametrize("stops_previous", [False, True])
def test_it_waits_while_the_one_before_may_still_run(ledger: Ledger, state: str, stops_previous: bool) -> None:
    before = ledger.dispatch("i-1")
    set_fields(ledger, before, state=state)
    invocation = waiting(ledger, **({"stops_previous": "1"} if stops_previous else {}))
    now_ms = server_ms(ledger.redis)
    reply = release(ledger, invocation, before)
    assert reply[0] == b"waits"
    assert wants_previous_stopped(reply) is stops_previous
    assert_still_waits(ledger, invocation, now_ms)


@pytest.mark.parametrize("state", ["Running", "Stopping"])
def test_one_that_runs_past_its_deadline_may_still_run(ledger: Ledger, state: str) -> None:
    before = ledger.dispatch("i-1")
    set_fields(ledger, before, state=state, deadline_ms=1)
    assert release(ledger, waiting(ledger), before)[0] == b"waits"


@pytest.mark.parametrize(
    ("state", "deadline_ms"),
    [("Success", 2**45), ("Aborted", 2**45), ("Cancelled", 2**45), ("Pending", 0), ("Scheduled", 0)],
)
def test_it_goes_once_the_one_before_can_run_no_more(ledger: Ledger, state: str, deadline_ms: int) -> None:
    before = ledger.dispatch("i-1")
    set_fields(ledger, before, state=state, deadline_ms=deadline_ms or server_ms(ledger.redis) - 1)
    assert release(ledger, waiting(ledger), before) == [b"released"]


def test_it_goes_where_nothing_is_known_of_the_one_before(ledger: Ledger) -> None:
    before, _ = ledger.build(1)
    assert release(ledger, waiting(ledger), before) == [b"released"]


def test_after_one_that_never_ran_it_waits_for_what_that_one_waited_for(ledger: Ledger) -> None:
    first, before = ledger.dispatch("i-1"), ledger.dispatch("i-1")
    set_fields(ledger, before, state="Cancelled", waits_for=ledger.execution(first, "i-1"))
    invocation = waiting(ledger, stops_previous="1")
    # A full queue is none of its business before it could go.
    ledger.redis.call("LPUSH", keys.queue("i-1"), *["{}"] * QUEUE_COUNT)
    now_ms = server_ms(ledger.redis)
    assert release(ledger, invocation, before) == [b"waits", b""]
    ledger.redis.call("DEL", keys.queue("i-1"))
    assert_still_waits(ledger, invocation, now_ms)
    row = keys.execution("i-1", ledger.execution(invocation, "i-1"))
    assert ledger.redis.call("HGET", row, "waits_for") == ledger.execution(first, "i-1").encode()


def test_in_a_line_one_that_waits_itself_wakes_whoever_is_behind_it(ledger: Ledger) -> None:
    before = ledger.dispatch("i-1")
    set_fields(ledger, before, state="Scheduled")
    invocation = waiting(ledger, deliver_within_ms=1_000, failures_count=0)
    assert release(ledger, invocation, before) == [b"waits", b""]
    # Until then nobody looks at it, but to give it up.
    assert looked_at_again_ms(ledger, invocation) == ledger.row(invocation, "i-1").deadline_ms


def test_in_a_line_one_that_is_let_go_waits_for_nobody_and_not_beyond_its_last_moment(ledger: Ledger) -> None:
    before = ledger.dispatch("i-1")
    set_fields(ledger, before, state="Failed", claimed_ms=5)
    invocation = waiting(ledger, deliver_within_ms=3_600_000, failures_count=0)
    set_fields(ledger, invocation, waits_for=ledger.execution(before, "i-1"))
    execution, last_ms = ledger.execution(invocation, "i-1"), ledger.row(invocation, "i-1").deadline_ms
    assert release(ledger, invocation, before) == [b"released"]
    # Should nobody take it, whoever is behind it would count the one before it once more.
    assert ledger.redis.call("HEXISTS", keys.execution("i-1", execution), "waits_for") == 0
    assert ledger.row(invocation, "i-1").deadline_ms == last_ms
    assert float(ledger.redis.call("ZSCORE", keys.open_executions("i-1"), execution)) == last_ms


def test_one_that_did_run_had_nothing_left_to_wait_for(ledger: Ledger) -> None:
    first, before = ledger.dispatch("i-1"), ledger.dispatch("i-1")
    set_fields(ledger, before, state="Success", waits_for=ledger.execution(first, "i-1"), claimed_ms=5)
    assert release(ledger, waiting(ledger), before) == [b"released"]


@pytest.mark.parametrize("is_before_running", [True, False])
def test_what_waited_beyond_its_deadline_is_given_up_with_the_reason(ledger: Ledger, is_before_running: bool) -> None:
    before = ledger.dispatch("i-1")
    set_fields(ledger, before, state="Running")
    invocation = waiting(ledger)
    ledger.expire_deadline(invocation, "i-1")
    assert_given_up(ledger, invocation, before if is_before_running else None, "DeliveryTimeout", "had not ended by")
    assert messages_of(ledger) == []


def test_a_full_queue_gives_up_what_could_go_with_the_reason(ledger: Ledger) -> None:
    refused, last = waiting(ledger), waiting(ledger)
    ledger.redis.call("LPUSH", keys.queue("i-1"), *["{}"] * (QUEUE_COUNT - 1))
    assert release(ledger, last) == [b"released"]
    assert_given_up(ledger, refused, None, "TaskConcurrencyLimit", f"holds {QUEUE_COUNT} messages")
    assert ledger.redis.call("LLEN", keys.queue("i-1")) == QUEUE_COUNT


def assert_given_up(ledger: Ledger, invocation: Invocation, before: Invocation | None, code: str, reason: str) -> None:
    execution, now_ms = ledger.execution(invocation, "i-1"), server_ms(ledger.redis)
    listening = ledger.redis.subscribe(invocation.done_channel)
    assert release(ledger, invocation, before) == [b"expired"]
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    assert heard[1] == f"end {execution} Aborted".encode()
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.error_code) == ("Aborted", code)
    assert reason in row.outcome.error_info
    assert now_ms <= row.outcome.finished_ms <= server_ms(ledger.redis)
    assert not {b"envelope", b"mac"} & set(ledger.redis.call("HKEYS", keys.execution("i-1", execution)))
    assert ledger.redis.call("ZSCORE", keys.open_executions("i-1"), execution) is None
    assert looked_at_again_ms(ledger, invocation) is None
