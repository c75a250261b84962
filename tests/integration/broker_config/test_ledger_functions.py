"""The functions in Redis that move executions, against a real server."""

import threading
from collections.abc import Callable

import msgspec
import pytest

from cloud_assistant.broker_config import keys, messages
from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.functions.executions import (
    Claimed,
    LivePiece,
    Moved,
    NotClaimed,
    StopRequested,
    Unmoved,
    announced_fields,
    append_output,
    finish,
    request_stop_command,
    settle_lost_command,
    settled,
    states_command,
    states_reply,
    stop_reply,
)
from cloud_assistant.broker_config.functions.function_library import run, run_all
from cloud_assistant.broker_config.functions.instances import beat_reply, heartbeat_command
from cloud_assistant.broker_config.records import Invocation
from cloud_assistant.broker_config.results import KeptStreams, Outcome, read_fields
from cloud_assistant.broker_config.security import signing
from cloud_assistant.broker_config.states import ExecutionState as S
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .conftest import MASTER, Ledger

#: What a row holds until its script has begun and nobody needs afterwards.
ONLY_FOR_RUNNING = {b"envelope", b"mac", b"payload"}


def end(
    ledger: Ledger, invocation: Invocation, state: S, *, says_no_start: object = False, **more: object
) -> Moved | Unmoved:
    outcome = Outcome(state=state, finished_ms=1, **more)  # type: ignore[arg-type]
    return finish(
        ledger.redis,
        "i-1",
        ledger.execution(invocation, "i-1"),
        state,
        # As an agent with a key does.
        {"started_ms": 0, **outcome.fields()} if says_no_start else outcome.fields(),
        live_output_ttl_ms=30_000,
        retention_ms=60_000,
    )


def stop(ledger: Ledger, invocation: Invocation) -> StopRequested | Unmoved:
    execution = ledger.execution(invocation, "i-1")
    return stop_reply(
        run(
            ledger.redis,
            request_stop_command("i-1", execution, confirm_ms=5_000),
        )
    )


def settle(ledger: Ledger, invocation: Invocation, seen: str) -> bool:
    execution = ledger.execution(invocation, "i-1")
    return settled(
        run(
            ledger.redis,
            settle_lost_command("i-1", execution, seen=seen, error_code="ClientNotResponse", error_info="silence"),
        )
    )


def test_a_claim_hands_over_an_envelope_that_the_instance_can_verify(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1", "i-2")
    claimed = ledger.claim(invocation, "i-1")
    assert isinstance(claimed, Claimed)
    assert signing.verify(MASTER.instance_key("i-1", claimed.key_id), "i-1", claimed.envelope, claimed.mac)
    assert not signing.verify(MASTER.instance_key("i-2"), "i-2", claimed.envelope, claimed.mac)
    envelope = messages.decode_envelope(claimed.envelope)
    assert envelope.digest == signing.digest(claimed.payload)
    order = messages.decode_order(claimed.payload)
    assert isinstance(order, messages.WorkOrder)
    assert order.content == b"echo 123"


def test_a_claim_says_who_has_it_since_when_and_until_when_its_result_must_come(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    before_ms = server_ms(ledger.redis)
    claimed = ledger.claim(invocation, "i-1", "e7")
    assert isinstance(claimed, Claimed)
    assert claimed.key_id == "k1"
    assert before_ms <= claimed.claimed_ms <= server_ms(ledger.redis)
    due_ms = claimed.claimed_ms + invocation.timeout_seconds * 1000 + 60_000
    execution = ledger.execution(invocation, "i-1")
    names = ("epoch", "boot_id", "claimed_ms", "started_ms", "deadline_ms")
    found = ledger.redis.call("HMGET", keys.execution("i-1", execution), *names)
    assert found == [b"e7", b"b1", *(b"%d" % one for one in (claimed.claimed_ms, claimed.claimed_ms, due_ms))]
    assert float(ledger.redis.call("ZSCORE", keys.open_executions("i-1"), execution)) == due_ms


def test_of_many_claims_at_once_exactly_one_wins(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    outcomes: list[Claimed | NotClaimed] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        start.wait()
        outcomes.append(ledger.claim(invocation, "i-1", f"e{number}"))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Claimed) for one in outcomes) == 1
    assert {one.reason for one in outcomes if isinstance(one, NotClaimed)} == {"taken"}


def test_a_claim_after_the_delivery_deadline_is_refused_as_late(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.expire_deadline(invocation, "i-1")
    assert ledger.claim(invocation, "i-1") == NotClaimed("Pending", "late")


def test_a_claim_of_something_unknown_is_refused(ledger: Ledger) -> None:
    invocation, _ = ledger.build(1)
    assert ledger.claim(invocation, "i-1") == NotClaimed("", "unknown")


def test_a_finished_execution_keeps_its_result_and_drops_what_only_running_needed(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    assert end(ledger, invocation, S.SUCCESS, exit_code=0, output=KeptStreams(data=b"123\n")) == Moved("Running")
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.exit_code, row.outcome.output.data) == ("Success", 0, b"123\n")
    stored = ledger.redis.call("HKEYS", keys.execution("i-1", row.execution_id))
    assert not ONLY_FOR_RUNNING & set(stored)
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0


def test_a_second_report_of_an_end_changes_nothing(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    end(ledger, invocation, S.SUCCESS, exit_code=0)
    assert end(ledger, invocation, S.FAILED, exit_code=1) == Unmoved("Success")
    assert ledger.row(invocation, "i-1").outcome.exit_code == 0


def test_an_execution_that_nobody_claimed_cannot_be_finished(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    assert end(ledger, invocation, S.SUCCESS) == Unmoved("Pending")


def test_a_result_whose_row_is_lost_is_written_anew_and_found_by_instance(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    ledger.redis.call("FLUSHALL")
    output = KeptStreams(data=b"123\n")
    assert end(ledger, invocation, S.SUCCESS, exit_code=0, output=output) == Moved("")
    execution = ledger.execution(invocation, "i-1")
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.exit_code, row.outcome.output.data) == ("Success", 0, b"123\n")
    assert ledger.redis.call("ZRANGE", keys.instance_history("i-1"), 0, -1) == [execution.encode()]
    assert 30_000 < ledger.redis.call("PTTL", keys.execution("i-1", execution)) <= 60_000


def test_a_result_whose_row_alone_is_lost_keeps_its_place_in_the_history(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    execution = ledger.execution(invocation, "i-1")
    ledger.redis.call("DEL", keys.execution("i-1", execution))
    ledger.redis.call("ZADD", keys.instance_history("i-1"), 5, execution)
    assert end(ledger, invocation, S.SUCCESS) == Moved("")
    assert float(ledger.redis.call("ZSCORE", keys.instance_history("i-1"), execution)) == 5


def announced_end(ledger: Ledger, invocation: Invocation, state: S, **more: object) -> list[bytes]:
    """End an execution; answer the words of what is announced, the row for the fourth if it is there."""
    listening = ledger.redis.subscribe(invocation.done_channel)
    assert isinstance(end(ledger, invocation, state, **more), Moved)
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    return heard[1].split(b" ", 3)


def test_the_end_is_announced_with_the_row_to_those_who_know_the_channel(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    stop(ledger, invocation)
    data = bytes(range(256)) * 20 + b" \r\n"
    output = KeptStreams(data=data, runs=((1, 5), (2, len(data) - 5)), dropped_bytes=7, gap_at=4)
    steps = [{"what": "TERM", "at_ms": 7}]
    *words, row = announced_end(
        ledger,
        invocation,
        S.TERMINATED,
        started_ms=5,
        signal=15,
        output=output,
        steps=steps,
        error_info="\u00fcber \x00",
    )
    execution = ledger.execution(invocation, "i-1")
    assert words == [b"end", execution.encode(), b"Terminated"]
    fields = announced_fields(row)
    assert fields is not None
    assert read_fields(execution, fields) == ledger.row(invocation, "i-1")


def test_the_announced_row_tells_of_the_end_that_it_replaces(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    ledger.expire_deadline(invocation, "i-1")
    settle(ledger, invocation, "Running")
    fields = announced_fields(announced_end(ledger, invocation, S.SUCCESS, started_ms=5, exit_code=0)[3])
    assert fields is not None
    read = read_fields(ledger.execution(invocation, "i-1"), fields)
    assert read == ledger.row(invocation, "i-1")
    assert len(read.history) == 1


def test_a_long_end_is_announced_without_its_row(ledger: Ledger) -> None:
    for size_bytes, word_count in ((8_000, 4), (8_192, 3), (1_000_000, 3)):
        invocation = ledger.dispatch("i-1")
        ledger.claim(invocation, "i-1")
        words = announced_end(ledger, invocation, S.SUCCESS, output=KeptStreams(data=b"x" * size_bytes))
        assert len(words) == word_count
        assert words[2] == b"Success"


def heard_of(ledger: Ledger, invocation: Invocation, act: Callable[[], object]) -> list[bytes]:
    """Do something; answer what was announced of it."""
    listening = ledger.redis.subscribe(invocation.done_channel)
    act()
    ledger.redis.call("PUBLISH", invocation.done_channel, "no more")
    heard = []
    while (one := listening.next(5)) is not None and one[1] != b"no more":
        heard.append(one[1])
    listening.close()
    return heard


@pytest.mark.parametrize("state", [S.PENDING, S.SCHEDULED])
def test_a_stop_cancels_what_waits_and_a_later_claim_is_refused(ledger: Ledger, state: S) -> None:
    invocation = ledger.dispatch("i-1")
    execution = ledger.execution(invocation, "i-1")
    ledger.redis.call("HSET", keys.execution("i-1", execution), "state", state)
    before_ms = server_ms(ledger.redis)
    moved: list[object] = []
    heard = heard_of(ledger, invocation, lambda: moved.append(stop(ledger, invocation)))
    assert (moved, heard) == ([StopRequested("Cancelled")], [f"end {execution} Cancelled".encode()])
    row = ledger.row(invocation, "i-1")
    assert row.state == "Cancelled"
    assert before_ms <= row.stop_ms == row.outcome.finished_ms <= server_ms(ledger.redis)
    assert not ONLY_FOR_RUNNING & set(ledger.redis.call("HKEYS", keys.execution("i-1", execution)))
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0
    assert ledger.claim(invocation, "i-1") == NotClaimed("Cancelled", "taken")
    assert ledger.redis.call("LLEN", keys.control("i-1")) == 0
    assert stop(ledger, invocation) == Unmoved("Cancelled")


def test_a_stop_of_what_runs_tells_the_agent_and_waits_for_its_word(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    execution = ledger.execution(invocation, "i-1")
    ledger.claim(invocation, "i-1")
    moved: list[object] = []
    heard = heard_of(ledger, invocation, lambda: moved.append(stop(ledger, invocation)))
    assert (moved, heard) == ([StopRequested("Stopping")], [f"state {execution} Stopping".encode()])
    assert ledger.looked_at_ms(invocation, "i-1") == ledger.row(invocation, "i-1").deadline_ms
    [message] = ledger.redis.call("LRANGE", keys.control("i-1"), 0, -1)
    assert messages.decode_stop(message).stop == execution
    assert 23 * 3_600_000 < ledger.redis.call("PTTL", keys.control("i-1")) <= 24 * 3_600_000
    row = ledger.row(invocation, "i-1")
    assert row.deadline_ms == row.stop_ms + 5_000
    assert float(ledger.redis.call("ZSCORE", keys.open_executions("i-1"), execution)) == row.deadline_ms
    assert end(ledger, invocation, S.TERMINATED) == Moved("Stopping")
    assert stop(ledger, invocation) == Unmoved("Terminated")


def test_a_repeated_stop_is_told_to_the_agent_again_and_gives_no_more_time(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    stop(ledger, invocation)
    first = ledger.row(invocation, "i-1")
    moved: list[object] = []
    heard = heard_of(ledger, invocation, lambda: moved.append(stop(ledger, invocation)))
    assert (moved, heard) == ([StopRequested("Stopping")], [])
    assert ledger.row(invocation, "i-1") == first
    assert ledger.redis.call("LLEN", keys.control("i-1")) == 2


def test_a_stop_of_something_unknown_is_refused(ledger: Ledger) -> None:
    invocation, _ = ledger.build(1)
    assert stop(ledger, invocation) == Unmoved("")
    assert ledger.redis.call("LLEN", keys.control("i-1")) == 0


def test_what_is_overdue_is_settled_once_and_only_after_its_deadline(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    assert not settle(ledger, invocation, "Running")
    assert ledger.looked_at_ms(invocation, "i-1") == ledger.row(invocation, "i-1").deadline_ms
    ledger.expire_deadline(invocation, "i-1")
    assert not settle(ledger, invocation, "Pending"), "it was seen in another state"
    execution = ledger.execution(invocation, "i-1")
    settled_now: list[bool] = []
    heard = heard_of(ledger, invocation, lambda: settled_now.append(settle(ledger, invocation, "Running")))
    assert (settled_now, heard) == ([True], [f"end {execution} Aborted".encode()])
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0
    assert ledger.redis.call("ZCARD", keys.DEADLINES) == 0
    assert not ONLY_FOR_RUNNING & set(ledger.redis.call("HKEYS", keys.execution("i-1", execution)))
    assert not settle(ledger, invocation, "Running")
    assert ledger.row(invocation, "i-1").outcome.error_info == "silence"
    assert ledger.row(invocation, "i-1").outcome.error_code == ErrorCode.CLIENT_NOT_RESPONSE


def test_a_deadline_whose_row_is_gone_or_has_ended_is_looked_at_no_more(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1", "i-2")
    ledger.redis.call("DEL", keys.execution("i-1", ledger.execution(invocation, "i-1")))
    assert not settle(ledger, invocation, "Pending")
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0
    other = ledger.execution(invocation, "i-2")
    assert ledger.redis.call("ZRANGE", keys.DEADLINES, 0, -1) == [other.encode()]
    assert ledger.redis.call("EXISTS", keys.execution("i-1", ledger.execution(invocation, "i-1"))) == 0

    ended = ledger.dispatch("i-1")
    ledger.claim(ended, "i-1")
    end(ledger, ended, S.SUCCESS)
    ledger.expire_deadline(ended, "i-1")
    assert not settle(ledger, ended, "Running")
    assert ledger.redis.call("ZRANGE", keys.DEADLINES, 0, -1) == [other.encode()]


def test_a_true_result_replaces_nobody_knows_and_both_facts_are_kept(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    ledger.expire_deadline(invocation, "i-1")
    before_ms = server_ms(ledger.redis)
    settle(ledger, invocation, "Running")
    settled_ms = ledger.row(invocation, "i-1").outcome.finished_ms
    assert before_ms <= settled_ms <= server_ms(ledger.redis)
    assert end(ledger, invocation, S.FAILED, exit_code=3, error_code="ExitCodeNonzero") == Moved("Aborted")
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.exit_code, row.outcome.error_code) == ("Failed", 3, "ExitCodeNonzero")
    assert row.history == (f"{settled_ms} Aborted ClientNotResponse",)


def test_a_late_success_leaves_no_trace_of_the_former_error_code(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")
    ledger.expire_deadline(invocation, "i-1")
    settle(ledger, invocation, "Running")
    end(ledger, invocation, S.SUCCESS, exit_code=0)
    assert ledger.row(invocation, "i-1").outcome.error_code == ""


def test_what_was_never_delivered_cannot_be_replaced_by_a_result(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.expire_deadline(invocation, "i-1")
    execution = ledger.execution(invocation, "i-1")
    command = settle_lost_command("i-1", execution, seen="Pending", error_code="DeliveryTimeout", error_info="")
    assert settled(run(ledger.redis, command))
    assert end(ledger, invocation, S.SUCCESS) == Unmoved("Aborted")
    assert ledger.claim(invocation, "i-1") == NotClaimed("Aborted", "taken")


@pytest.mark.parametrize("code", [ErrorCode.DELIVERY_TIMEOUT, ErrorCode.CLIENT_NOT_RUNNING])
def test_the_end_of_a_script_that_did_start_replaces_a_claim_that_redis_has_lost(
    ledger: Ledger, code: ErrorCode
) -> None:
    invocation = ledger.dispatch("i-1")
    execution = ledger.execution(invocation, "i-1")
    older_copy = ledger.redis.call("DUMP", keys.execution("i-1", execution))
    ledger.claim(invocation, "i-1")
    ledger.redis.call("RESTORE", keys.execution("i-1", execution), 0, older_copy, "REPLACE")
    ledger.expire_deadline(invocation, "i-1")
    command = settle_lost_command("i-1", execution, seen="Pending", error_code=code.value, error_info="not started")
    assert settled(run(ledger.redis, command))

    interrupted = {"error_code": "ExecutionInterrupted", "error_info": "it never ran"}
    for says_no_start in (False, True):
        told = end(ledger, invocation, S.ERROR, says_no_start=says_no_start, **interrupted)
        assert told == Unmoved("Aborted"), "that is no news"
    assert end(ledger, invocation, S.SUCCESS, started_ms=1, exit_code=0) == Moved("Aborted")
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.error_code, row.outcome.error_info) == ("Success", "", "")
    assert len(row.history) == 1
    assert row.history[0].endswith(f"Aborted {code}")
    assert end(ledger, invocation, S.FAILED, started_ms=1, exit_code=1) == Unmoved("Success")


@pytest.mark.parametrize("code", ["TaskConcurrencyLimit", "InstanceNotExists"])
def test_other_ends_without_a_start_stay(ledger: Ledger, code: str) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.redis.call(
        "HSET",
        keys.execution("i-1", ledger.execution(invocation, "i-1")),
        *("state", "Aborted", "error_code", code, "finished_ms", 5),
    )
    assert end(ledger, invocation, S.SUCCESS, started_ms=1, exit_code=0) == Unmoved("Aborted")


def test_live_output_is_taken_while_running_and_refused_afterwards(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.claim(invocation, "i-1")

    def piece(offset: int) -> bool:
        abc = LivePiece(offset_bytes=offset, skipped_bytes=0, streams="1:3", data=b"abc", keep_count=100, ttl_ms=60_000)
        return append_output(ledger.redis, "i-1", ledger.execution(invocation, "i-1"), abc)

    assert piece(0)
    live = keys.live_output("i-1", ledger.execution(invocation, "i-1"))
    assert 30_000 < ledger.redis.call("PTTL", live) <= 60_000
    end(ledger, invocation, S.SUCCESS)
    assert not piece(3)
    assert ledger.redis.call("XLEN", live) == 1
    assert 0 < ledger.redis.call("PTTL", live) <= 30_000, "who follows it may read to its end"
    assert ledger.redis.call("PTTL", keys.execution("i-1", ledger.execution(invocation, "i-1"))) == -1


def test_states_of_many_rows_are_read_in_order_with_gaps(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1", "i-2")
    ledger.expire_deadline(invocation, "i-2")
    run(
        ledger.redis,
        settle_lost_command(
            "i-2", ledger.execution(invocation, "i-2"), seen="Pending", error_code="DeliveryTimeout", error_info=""
        ),
    )
    rows = [(one, ledger.execution(invocation, one)) for one in ("i-2", "i-9", "i-1")]
    assert states_reply(run(ledger.redis, states_command(rows))) == [
        ("Aborted", "DeliveryTimeout"),
        ("", ""),
        ("Pending", ""),
    ]


@pytest.mark.parametrize("broken", [b"", b"{", b'{"v":1}'])
def test_a_broken_envelope_is_an_error_and_not_a_guess(broken: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        messages.decode_envelope(broken)


def test_a_heartbeat_brings_in_one_command_all_that_concerns_an_idle_agent(ledger: Ledger) -> None:
    instance_id = "i-1"
    ledger.dispatch(instance_id)
    ledger.redis.call("HSET", keys.profile(instance_id), "name", "web", "account_id", "7")
    ledger.redis.call("HSET", keys.quarantine(instance_id), "reason", "cloned")
    ledger.redis.call("SET", keys.key_bundle(instance_id), "new keys")

    command = heartbeat_command(instance_id, "e", {"slots": 10}, ttl_ms=60_000, take_over=False)
    first, second = run_all(ledger.redis, [command, command])

    assert (beat_reply(first).epoch, beat_reply(second).epoch) == ("", "e")
    beat = beat_reply(second)
    assert (beat.name, beat.account_id, beat.quarantine, beat.key_bundle) == ("web", "7", "cloned", b"new keys")
    assert (beat.open_count, beat.queue_count) == (1, 1)
    assert ledger.redis.call("HGET", keys.info(instance_id), "slots") == b"10"
