"""Dispatch: rows and messages, all or nothing, and safe to repeat."""

import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from cloud_assistant.broker_config import keys, messages
from cloud_assistant.broker_config.dispatch import CHUNK_COUNT, Dispatched, Dispatcher
from cloud_assistant.broker_config.errors import NotFound, Refused
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.ledger import load_targets
from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.records import Invocation, Pacing, RepeatMode
from cloud_assistant.broker_config.records import Schedule as RecordSchedule
from cloud_assistant.broker_config.redis.connection import Argument, Command
from cloud_assistant.broker_config.security import signing

from .conftest import MASTER, Ledger


def test_each_target_gets_one_row_and_one_message(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1", "i-2")
    for instance_id in ("i-1", "i-2"):
        assert ledger.row(invocation, instance_id).state == "Pending"
        [message] = ledger.redis.call("LRANGE", keys.queue(instance_id), 0, -1)
        parsed = json.loads(message)
        execution = ledger.execution(invocation, instance_id)
        assert parsed["headers"]["task"] == RUN_COMMAND_TASK
        assert parsed["headers"]["id"] == execution
        assert json.loads(parsed["body"])[0][0] == execution
        assert ledger.redis.call("ZSCORE", keys.DEADLINES, execution) is not None


def fields_of(ledger: Ledger, invocation: Invocation, instance_id: str) -> dict[bytes, bytes]:
    row = ledger.redis.call("HGETALL", keys.execution(instance_id, ledger.execution(invocation, instance_id)))
    return dict(zip(row[::2], row[1::2], strict=True))


def test_a_row_holds_what_its_agent_and_its_readers_need(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    execution, fields = ledger.execution(invocation, "i-1"), fields_of(ledger, invocation, "i-1")
    envelope = messages.decode_envelope(fields.pop(b"envelope"))
    assert (envelope.invoke_id, envelope.firing_ms) == (invocation.invoke_id, 0)
    assert signing.digest(fields.pop(b"payload")) == envelope.digest
    assert fields.pop(b"mac").startswith(b"k1:")
    deadline_ms = int(fields.pop(b"deadline_ms"))
    assert fields == {
        b"state": b"Pending",
        b"invoke_id": invocation.invoke_id.encode(),
        b"command_id": invocation.command.command_id.encode(),
        b"firing_ms": b"0",
        b"attempt": b"1",
        b"created_ms": b"%d" % invocation.created_ms,
        b"timeout_seconds": b"%d" % invocation.timeout_seconds,
        b"key_id": b"k1",
        b"done": invocation.done_channel.encode(),
    }
    for index in (keys.DEADLINES, keys.open_executions("i-1")):
        assert float(ledger.redis.call("ZSCORE", index, execution)) == deadline_ms
    assert float(ledger.redis.call("ZSCORE", keys.instance_history("i-1"), execution)) == invocation.created_ms


def full_queue(ledger: Ledger) -> None:
    ledger.queue_count = 2
    ledger.redis.call("LPUSH", keys.queue("i-1"), "{}", "{}")


def quarantine(ledger: Ledger) -> None:
    ledger.redis.call("HSET", keys.quarantine("i-1"), "reason", "seen twice")


@pytest.mark.parametrize(
    ("refuse", "state", "code", "info"),
    [
        (full_queue, "Aborted", "TaskConcurrencyLimit", "already holds 2 messages"),
        (quarantine, "Invalid", "InstanceQuarantined", "gets no work"),
    ],
)
def test_a_target_that_cannot_have_it_gets_its_end_at_once_and_nothing_of_the_order(
    ledger: Ledger, refuse: Callable[[Ledger], None], state: str, code: str, info: str
) -> None:
    refuse(ledger)
    waiting_count = ledger.redis.call("LLEN", keys.queue("i-1"))
    invocation, order = ledger.build(2)
    execution = ledger.execution(invocation, "i-1")
    listening = ledger.redis.subscribe(invocation.done_channel)
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=ledger.queue_count)
    assert dispatcher.create(invocation, order, ["i-1", "i-2"]) == Dispatched(created_count=1, refused_count=1)
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    assert heard[1] == f"end {execution} {state}".encode()
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.error_code, row.outcome.finished_ms) == (state, code, invocation.created_ms)
    assert info in row.outcome.error_info
    assert not {b"envelope", b"mac", b"payload"} & set(fields_of(ledger, invocation, "i-1"))
    assert ledger.redis.call("ZRANGE", keys.DEADLINES, 0, -1) == [ledger.execution(invocation, "i-2").encode()]
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0
    assert ledger.redis.call("ZRANGE", keys.instance_history("i-1"), 0, -1) == [execution.encode()]
    assert ledger.redis.call("LLEN", keys.queue("i-1")) == waiting_count
    # Dispatched once more, it is not tried once more.
    again = dispatcher.complete(invocation, order, ["i-1", "i-2"], within_ms=60_000)
    assert again == Dispatched(created_count=0, refused_count=0)
    assert ledger.row(invocation, "i-1") == row


def test_rows_of_an_invocation_that_is_gone_are_not_written(ledger: Ledger) -> None:
    invocation, order = ledger.build(1)
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    assert dispatcher.complete(invocation, order, ["i-1"], within_ms=60_000) == Dispatched(0, 0)
    assert ledger.redis.call("EXISTS", keys.queue("i-1"), keys.DEADLINES, keys.open_executions("i-1")) == 0


def test_an_unknown_target_refuses_the_whole_and_writes_nothing(
    ledger: Ledger, key_names: Callable[[], set[str]]
) -> None:
    before = key_names()
    with pytest.raises(NotFound, match="i-9") as caught:
        ledger.dispatch("i-1", "i-9")
    assert caught.value.code == "InvalidInstance.NotFound"
    assert key_names() == before


def test_a_repeated_dispatch_completes_the_first_and_doubles_nothing(ledger: Ledger) -> None:
    invocation, order = ledger.build(2)
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    dispatcher.create(invocation, order, ["i-1"])
    ledger.claim(invocation, "i-1")
    again = dispatcher.complete(invocation, order, ["i-1", "i-2"], within_ms=60_000)
    assert again == Dispatched(created_count=1, refused_count=0)
    assert ledger.row(invocation, "i-1").state == "Running"
    assert ledger.redis.call("LLEN", keys.queue("i-1")) == 1
    assert ledger.row(invocation, "i-2").state == "Pending"


def test_the_same_invocation_cannot_be_created_twice(ledger: Ledger) -> None:
    invocation, order = ledger.build(1)
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    dispatcher.create(invocation, order, ["i-1"])
    with pytest.raises(Refused, match="exists already"):
        dispatcher.create(invocation, order, ["i-1"])


def test_a_full_queue_aborts_the_execution_with_its_reason(ledger: Ledger) -> None:
    ledger.queue_count = 2
    for _ in range(2):
        ledger.dispatch("i-1")
    refused = ledger.dispatch("i-1", "i-2")
    row = ledger.row(refused, "i-1")
    assert (row.state, row.outcome.error_code) == ("Aborted", "TaskConcurrencyLimit")
    assert "limits.queue_count" in row.outcome.error_info
    assert ledger.row(refused, "i-2").state == "Pending"
    assert ledger.redis.call("LLEN", keys.queue("i-1")) == 2


def test_one_call_stores_the_targets_of_a_whole_fleet(ledger: Ledger) -> None:
    targets = [f"i-many-{number}" for number in range(10_000)]
    ledger.redis.call("ZADD", keys.INSTANCES, *(part for one in targets for part in (1, one)))
    invocation, order = ledger.build(len(targets))
    invocation = replace(invocation, schedule=RecordSchedule(repeat_mode=RepeatMode.PERIOD))
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    with pytest.raises(NotFound, match="no instance i-9 is registered"):
        dispatcher.create(invocation, order, [*targets, "i-9"])
    dispatcher.create(invocation, order, targets)
    assert load_targets(ledger.redis, invocation.invoke_id) == targets


def test_a_large_work_order_for_many_targets_is_stored_once(ledger: Ledger) -> None:
    targets = [f"i-many-{number}" for number in range(CHUNK_COUNT + 5)]
    ledger.redis.pipeline_or_raise([("ZADD", keys.INSTANCES, 1, one) for one in targets])
    invocation, order = ledger.build(len(targets), content=b"#" * 10_000)
    outcome = Dispatcher(ledger.redis, MASTER, queue_count=100).create(invocation, order, targets)
    assert outcome == Dispatched(created_count=len(targets), refused_count=0)
    payload = ledger.redis.call("GET", keys.payload(invocation.payload_token))
    assert len(payload) > 10_000
    assert ledger.redis.call("PTTL", keys.payload(invocation.payload_token)) > 60_000
    claimed = ledger.claim(invocation, targets[-1])
    assert isinstance(claimed, Claimed)
    assert claimed.payload == b""


def test_a_deadline_is_judged_by_the_servers_clock_alone(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1", within_seconds=30)
    seconds, microseconds = ledger.redis.call("TIME")
    server_ms = int(seconds) * 1000 + int(microseconds) // 1000
    assert 25_000 < ledger.row(invocation, "i-1").deadline_ms - server_ms <= 30_000


def test_a_producer_of_an_earlier_version_writes_the_rows_that_it_means(ledger: Ledger) -> None:
    touched, call = as_an_earlier_version_calls(ledger, ledger.dispatch("i-1"))
    execution = touched[2].rpartition(":")[2]
    assert run(ledger.redis, call) == [1, 0]
    row = ledger.redis.call("HMGET", touched[2], "state", "mac", "envelope", "payload", "key_id", "waits_for")
    assert row == [b"Pending", b"signature", b"envelope", b"payload", b"key", None]
    assert ledger.redis.call("LRANGE", keys.queue("i-2"), 0, -1) == [f"<{execution}>".encode()]
    assert ledger.redis.call("ZCARD", keys.TIMED_WAITING) == 0


def test_a_beat_of_an_earlier_version_completes_nothing_that_does_not_run_everywhere_at_once(ledger: Ledger) -> None:
    invocation, order = ledger.build(2)
    invocation = replace(invocation, pacing=Pacing(at_once_count=1))
    Dispatcher(ledger.redis, MASTER, queue_count=10).create(invocation, order, ["i-1"])
    touched, call = as_an_earlier_version_calls(ledger, invocation)
    assert run(ledger.redis, call) == [0, 0]
    assert ledger.redis.call("EXISTS", *touched[2:]) == 0
    # One that knows lines writes the very same; a beat does where nobody may run it any more.
    assert run(ledger.redis, (*call, 1)) == [1, 0]


def as_an_earlier_version_calls(ledger: Ledger, invocation: Invocation) -> tuple[list[str], Command]:
    """The keys and the writing of a row for i-2, by a caller that knows no lines."""
    execution = execution_id(invocation.invoke_id, 0, "i-2")
    branch = keys.instance_branch("i-2")
    touched = [
        keys.invocation(invocation.invoke_id),
        keys.DEADLINES,
        *(f"{branch}{part}" for part in (f"exec:{execution}", "open", "queue", "history", "quarantine")),
    ]
    common: list[Argument] = [
        invocation.invoke_id,
        "c-1",
        0,
        1,
        60_000,
        10,
        b"envelope",
        b"payload",
        "done",
        10,
        "<ID>",
        "ID",
        "key",
    ]
    ledger.redis.call("DEL", keys.queue("i-2"))
    call: Command = ("FCALL", "ca_create_executions_5", len(touched), *touched, *common, execution, b"signature")
    return touched, call
