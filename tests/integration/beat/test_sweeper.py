"""Executions that nobody will report get their final state and the reason; nothing true is overwritten."""

import logging
from collections.abc import Callable

import pytest
from integration.beat.conftest import Timing
from msgspec.structs import replace

from cloud_assistant.beat import sweeper as sweeper_module
from cloud_assistant.beat.cut_off import Completer
from cloud_assistant.beat.sweeper import Sweeper
from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.dispatch import Dispatcher
from cloud_assistant.broker_config.functions.executions import Claimed, request_stop_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.functions.invocations import create_invocation_command
from cloud_assistant.broker_config.ids import new_id, new_token
from cloud_assistant.broker_config.messages import WorkOrder, decode_envelope, decode_order, encode
from cloud_assistant.broker_config.programs.program_log import LOGGER_NAME
from cloud_assistant.broker_config.records import Command, Invocation, Pacing, ScriptType
from cloud_assistant.broker_config.records import encode as encode_record
from cloud_assistant.broker_config.results import ExecutionRow
from cloud_assistant.broker_config.security.dispatch_seal import with_dispatch_seal
from cloud_assistant.broker_config.security.signing import MasterKeys, digest
from cloud_assistant.producer import RunOptions, Targets
from cloud_assistant.worker.upgrade.self_test import SelfTest
from harness.eventually import eventually

SWEEP_OFTEN = {"CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.2"}
MASTER = MasterKeys("k1", {"k1": b"m" * 32})


def run_once(timing: Timing, within_seconds: int = 1, *instance_ids: str) -> str:
    options = RunOptions(deliver_within_seconds=within_seconds)
    return timing.assistant.run_command("true", Targets(instance_ids=instance_ids or ["i-1"]), options).invoke_id


def ended(timing: Timing, invoke_id: str, instance_id: str = "i-1") -> ExecutionRow:
    def final() -> ExecutionRow | None:
        row = timing.row(invoke_id, 0, instance_id)
        return row if row and row.state not in ("Pending", "Running", "Stopping") else None

    return eventually(final)


def make_overdue(timing: Timing, invoke_id: str, instance_id: str = "i-1") -> None:
    """Let the deadline of an execution have passed."""
    execution = f"{invoke_id}.0@{instance_id}"
    timing.redis.pipeline_or_raise(
        [
            ("HSET", keys.execution(instance_id, execution), "deadline_ms", 1),
            ("ZADD", keys.DEADLINES, 1, execution),
        ]
    )


def say_alive(timing: Timing, instance_id: str = "i-1") -> None:
    heartbeat(timing.redis, instance_id, "e", {"boot_id": "b"}, ttl_ms=60_000, take_over=True)


def test_without_an_agent_it_is_client_not_running(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    row = ended(timing, run_once(timing))
    assert (row.state, row.outcome.error_code) == ("Aborted", "ClientNotRunning")


def test_with_an_agent_that_does_not_take_it_it_is_delivery_timeout(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    say_alive(timing)
    row = ended(timing, run_once(timing))
    assert (row.state, row.outcome.error_code) == ("Aborted", "DeliveryTimeout")


def test_an_agent_that_fell_silent_is_client_not_response_and_its_late_result_replaces_that(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = run_once(timing, 60)
    assert isinstance(timing.claim(invoke_id, 0), Claimed)
    make_overdue(timing, invoke_id)
    row = ended(timing, invoke_id)
    assert (row.state, row.outcome.error_code) == ("Aborted", "ClientNotResponse")
    timing.finish(invoke_id, 0)
    late = timing.row(invoke_id, 0)
    assert late is not None
    assert (late.state, late.outcome.error_code) == ("Success", "")
    assert "ClientNotResponse" in late.history[0]


def test_a_result_that_came_before_the_sweep_stays(timing: Timing) -> None:
    invoke_id = run_once(timing, 60)
    timing.claim(invoke_id, 0)
    timing.finish(invoke_id, 0)
    make_overdue(timing, invoke_id)
    run_once(timing, 60)
    timing.redis.call("CONFIG", "RESETSTAT")
    Sweeper(timing.redis).work()
    asked = timing.redis.call("INFO", "commandstats")
    # Of the one that is overdue. Whether its agent lives matters no more, and its message has been taken.
    assert (b"cmdstat_fcall:calls=1," in asked, b"cmdstat_exists" in asked) == (True, False)
    assert timing.state(invoke_id, 0) == "Success"
    assert timing.redis.call("ZCARD", keys.DEADLINES) == 1


def test_the_log_names_one_that_was_settled_and_none_that_had_ended(
    timing: Timing, caplog: pytest.LogCaptureFixture
) -> None:
    done_id, lost_id = run_once(timing, 60), run_once(timing, 60)
    timing.claim(done_id, 0)
    timing.finish(done_id, 0)
    make_overdue(timing, done_id)
    make_overdue(timing, lost_id)
    timing.redis.call("ZADD", keys.DEADLINES, 2, f"{lost_id}.0@i-1")
    with caplog.at_level(logging.INFO, logger=LOGGER_NAME):
        Sweeper(timing.redis).work()
    said = [record.getMessage() for record in caplog.records if "settled overdue" in record.getMessage()]
    assert said == [f"settled overdue executions count=1 first={lost_id}.0@i-1"]


def test_an_execution_that_was_claimed_is_looked_at_again_at_its_own_deadline(timing: Timing) -> None:
    invoke_id = run_once(timing, 60)
    timing.claim(invoke_id, 0)
    timing.redis.call("ZADD", keys.DEADLINES, 1, f"{invoke_id}.0@i-1")
    Sweeper(timing.redis).work()
    assert timing.state(invoke_id, 0) == "Running"
    (score,) = timing.redis.call("ZMSCORE", keys.DEADLINES, f"{invoke_id}.0@i-1")
    assert float(score) > timing.server_ms()


def test_a_stop_that_nobody_confirms_is_settled_at_the_deadline_of_the_stop(timing: Timing) -> None:
    """Also where the sweeper has looked before, and means to come back only when the script's own time is over."""
    invoke_id = run_once(timing, 60)
    timing.claim(invoke_id, 0)
    timing.redis.call("ZADD", keys.DEADLINES, 1, f"{invoke_id}.0@i-1")
    sweeper = Sweeper(timing.redis)
    sweeper.work()
    run(timing.redis, request_stop_command("i-1", f"{invoke_id}.0@i-1", confirm_ms=1))
    asked_ms = timing.server_ms()
    eventually(lambda: timing.server_ms() > asked_ms + 1)
    sweeper.work()
    row = timing.row(invoke_id, 0)
    assert row is not None
    assert (row.state, row.outcome.error_code) == ("Aborted", "ClientNotResponse")


def test_a_finished_invocation_is_settled_without_anybody_asking(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = run_once(timing, 60)
    timing.claim(invoke_id, 0)
    timing.finish(invoke_id, 0)
    eventually(lambda: timing.redis.call("HGET", keys.invocation(invoke_id), "roll_up"))
    assert timing.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invoke_id) is None


def test_the_queue_of_an_instance_that_is_away_is_emptied_up_to_what_still_waits(timing: Timing) -> None:
    for _ in range(5):
        make_overdue(timing, run_once(timing, 60))
    waiting = run_once(timing, 60)
    assert timing.redis.call("LLEN", keys.queue("i-1")) == 6
    Sweeper(timing.redis).work()
    (message,) = timing.redis.call("LRANGE", keys.queue("i-1"), 0, -1)
    assert waiting.encode() in message
    make_overdue(timing, waiting)
    Sweeper(timing.redis).work()
    assert timing.redis.call("EXISTS", keys.queue("i-1")) == 0


def test_a_foreign_message_in_a_queue_is_left_alone(timing: Timing) -> None:
    waiting = run_once(timing, 60)
    timing.redis.call("RPUSH", keys.queue("i-1"), "not ours")
    make_overdue(timing, run_once(timing, 60))
    Sweeper(timing.redis).work()
    assert timing.redis.call("LINDEX", keys.queue("i-1"), -1) == b"not ours"
    assert timing.state(waiting, 0) == "Pending"


@pytest.mark.parametrize("is_busy", [True, False])
def test_the_self_test_of_an_agent_on_trial_waits_for_a_slot_in_its_queue(timing: Timing, is_busy: bool) -> None:
    """While all slots are taken, others that wait there are given up."""
    if is_busy:
        timing.claim(run_once(timing, 60), 0)
        timing.redis.call("RPOP", keys.queue("i-1"))
    given_up = run_once(timing, 60)
    SelfTest(timing.redis, "i-1", None, life_ms=60_000).begin()
    make_overdue(timing, given_up)
    Sweeper(timing.redis).work()
    assert timing.state(given_up, 0) == "Aborted"
    (message,) = timing.redis.call("LRANGE", keys.queue("i-1"), 0, -1)
    assert given_up.encode() not in message


def test_what_cannot_be_read_goes_too_where_nothing_is_open(timing: Timing) -> None:
    given_up = run_once(timing, 60)
    timing.redis.call("RPUSH", keys.queue("i-1"), "not ours", "{}", '{"headers": {"id": "t-1.0@i-1"}}', "[1]")
    make_overdue(timing, given_up)
    Sweeper(timing.redis).work()
    assert timing.redis.call("EXISTS", keys.queue("i-1")) == 0


def test_a_burst_is_settled_part_by_part_and_what_is_no_execution_is_dropped(
    timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_BATCH_COUNT", 2)
    monkeypatch.setattr(sweeper_module, "_BATCHES_PER_TURN", 2)
    made = [run_once(timing, 60) for _ in range(5)]
    for one in made:
        make_overdue(timing, one)
    timing.redis.call("ZADD", keys.DEADLINES, 0, "junk")
    sweeper = Sweeper(timing.redis)
    for settled_count in (3, 5):
        sweeper.work()
        assert [timing.state(one, 0) for one in made].count("Aborted") == settled_count
    assert timing.redis.call("ZCARD", keys.DEADLINES) == 0


# Dispatches that were cut off


def cut_off(
    timing: Timing,
    *,
    age_ms: int,
    clock_ms: int = 0,
    master: MasterKeys | None = None,
    with_rows: bool = True,
    pacing: Pacing | None = None,
) -> Invocation:
    """Store an invocation for three instances with an execution for the first only, as a producer that was killed.

    ``clock_ms`` is how far its clock was ahead.
    """
    command = Command(
        command_id=new_id("c"), name="t", type=ScriptType.SHELL, content=b"echo 123", created_ms=1, kept=False
    )
    invocation = Invocation(
        invoke_id=new_id("t"),
        command=command,
        created_ms=now_ms() - age_ms + clock_ms,
        target_count=3,
        done_channel=keys.done_channel(new_token()),
        payload_token=new_token(),
        deliver_within_seconds=60,
        pacing=pacing,
    )
    order = WorkOrder(command_id=command.command_id, type=command.type, content=b"echo 123", timeout_seconds=60)
    targets = ["i-1", "i-2", "i-3"]
    invocation = with_dispatch_seal(invocation, digest(encode(order)), targets, master)
    create = create_invocation_command(
        invocation.invoke_id,
        command.command_id,
        encode_record(invocation),
        targets,
        created_ms=invocation.created_ms,
        payload_token=invocation.payload_token,
        payload=encode(order),
        payload_ttl_ms=600_000,
        command_must_exist=False,
        timed=False,
    )
    run(timing.redis, create)
    timing.redis.call("HINCRBY", keys.invocation(invocation.invoke_id), "stored_ms", -age_ms)
    if with_rows:
        Dispatcher(timing.redis, master, queue_count=100).complete(
            invocation, order, ["i-1"], within_ms=60_000, all_targets=targets
        )
    return invocation


def test_a_dispatch_that_was_cut_off_is_completed(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=10_000)
    timing.start_beat(**SWEEP_OFTEN)
    eventually(lambda: timing.state(invocation.invoke_id, 0, "i-3") == "Pending")
    assert timing.state(invocation.invoke_id, 0, "i-2") == "Pending"
    assert isinstance(timing.claim(invocation.invoke_id, 0, "i-2"), Claimed)


def test_those_of_one_millisecond_are_all_looked_at_however_many_they_are(timing: Timing) -> None:
    made = [cut_off(timing, age_ms=10_000).invoke_id for _ in range(250)]
    timing.redis.call("ZADD", keys.INVOCATIONS_OPEN, "XX", *[part for one in made for part in (1, one)])
    unfinished = Unfinished(timing.redis, None, queue_count=1000)
    unfinished.work()
    # The one that it would go on with is settled by somebody else.
    gone = sorted(made)[100]
    timing.redis.call("ZREM", keys.INVOCATIONS_OPEN, gone)
    # One turn more than they fill: after one that is gone, those of its score are looked at once more.
    for _ in range(3):
        unfinished.work()
    assert {timing.state(one, 0, "i-3") for one in made if one != gone} == {"Pending"}


@pytest.mark.parametrize("clock_ms", [0, -3_600_000])
def test_one_that_may_still_be_under_way_is_left_to_its_producer(timing: Timing, clock_ms: int) -> None:
    invocation = cut_off(timing, age_ms=1_000, clock_ms=clock_ms)
    Unfinished(timing.redis, None, 100).work()
    assert timing.state(invocation.invoke_id, 0, "i-3") == ""


def test_a_producer_whose_clock_was_ahead_is_not_waited_for(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=10_000, clock_ms=3_600_000)
    Unfinished(timing.redis, None, 100).work()
    assert isinstance(timing.claim(invocation.invoke_id, 0, "i-2"), Claimed)


def test_those_that_an_earlier_release_has_made_are_judged_by_when_their_producer_made_them(timing: Timing) -> None:
    made = [cut_off(timing, age_ms=age_ms).invoke_id for age_ms in (10_000, 1_000)]
    for one in made:
        timing.redis.call("HDEL", keys.invocation(one), "stored_ms")
    Unfinished(timing.redis, None, 100).work()
    assert [timing.state(one, 0, "i-3") for one in made] == ["Pending", ""]


def test_one_whose_time_is_over_gets_its_reason_and_never_runs(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=120_000)
    timing.start_beat(**SWEEP_OFTEN)
    row = ended(timing, invocation.invoke_id, "i-3")
    assert row.outcome.error_code == "ClientNotRunning"


def test_with_a_key_only_what_the_producer_has_signed_is_completed(timing: Timing) -> None:
    signed = cut_off(timing, age_ms=10_000, master=MASTER)
    # Whoever can write to Redis can make records too; nothing of them is signed for other instances.
    forged = cut_off(timing, age_ms=10_000)
    made_up = cut_off(timing, age_ms=10_000, with_rows=False)
    Unfinished(timing.redis, MASTER, 100).work()
    assert isinstance(timing.claim(signed.invoke_id, 0, "i-2"), Claimed)
    for one in (forged, made_up):
        assert timing.state(one.invoke_id, 0, "i-2") == "Pending"
        assert not isinstance(timing.claim(one.invoke_id, 0, "i-2"), Claimed)
    Sweeper(timing.redis).work()
    for one in (forged, made_up):
        assert timing.state(one.invoke_id, 0, "i-2") == "Aborted"


def first_row(invocation: Invocation) -> str:
    return keys.execution("i-1", f"{invocation.invoke_id}.0@i-1")


def put_order_of_another(timing: Timing, invocation: Invocation) -> None:
    """Signed by the producer, for the same instance; but not as a part of this invocation."""
    another = cut_off(timing, age_ms=1, master=MASTER)
    names = ("envelope", "mac", "payload")
    values = timing.redis.call("HMGET", first_row(another), *names)
    pairs = [part for pair in zip(names, values, strict=True) if pair[1] for part in pair]
    timing.redis.call("HSET", first_row(invocation), *pairs)


def put_other_content(timing: Timing, invocation: Invocation) -> None:
    order = WorkOrder(command_id="c-1", type=ScriptType.SHELL, content=b"evil", timeout_seconds=60)
    timing.redis.call("HSET", first_row(invocation), "payload", encode(order))


def put_no_json(timing: Timing, invocation: Invocation) -> None:
    timing.redis.call("HSET", first_row(invocation), "envelope", "{")


def put_signature_of_a_key_that_is_not_here(timing: Timing, invocation: Invocation) -> None:
    timing.redis.call("HSET", first_row(invocation), "mac", "k9:" + "0" * 64)


def take_envelope_away(timing: Timing, invocation: Invocation) -> None:
    timing.redis.call("HDEL", first_row(invocation), "envelope")


@pytest.mark.parametrize(
    "change",
    [
        put_order_of_another,
        put_other_content,
        put_no_json,
        put_signature_of_a_key_that_is_not_here,
        take_envelope_away,
    ],
)
def test_what_somebody_has_put_in_the_place_of_a_work_order_is_signed_for_nobody(
    timing: Timing, change: Callable[[Timing, Invocation], None]
) -> None:
    """What the producer has sealed is still there, so that is what runs."""
    invocation = cut_off(timing, age_ms=10_000, master=MASTER)
    change(timing, invocation)
    Unfinished(timing.redis, MASTER, 100).work()
    claimed = timing.claim(invocation.invoke_id, 0, "i-2")
    assert isinstance(claimed, Claimed)
    order = decode_order(claimed.payload)
    assert isinstance(order, WorkOrder)
    assert order.content == b"echo 123"


@pytest.mark.parametrize("master", [MASTER, None])
@pytest.mark.parametrize("change", [put_order_of_another, put_other_content])
def test_without_the_work_order_that_was_meant_nothing_is_completed(
    timing: Timing, change: Callable[[Timing, Invocation], None], master: MasterKeys | None
) -> None:
    invocation = cut_off(timing, age_ms=10_000, master=master)
    timing.redis.call("DEL", keys.payload(invocation.payload_token))
    change(timing, invocation)
    Unfinished(timing.redis, master, 100).work()
    assert timing.state(invocation.invoke_id, 0, "i-2") == "Pending"
    assert not isinstance(timing.claim(invocation.invoke_id, 0, "i-2"), Claimed)


@pytest.mark.parametrize("place", ["a key of its own", "the row of one that has not ended"])
def test_without_a_key_the_work_order_is_found_wherever_it_is(timing: Timing, place: str) -> None:
    invocation = cut_off(timing, age_ms=10_000)
    if place == "a key of its own":
        timing.redis.call("HDEL", first_row(invocation), "payload")
    else:
        second = keys.execution("i-2", f"{invocation.invoke_id}.0@i-2")
        timing.redis.call("COPY", first_row(invocation), second)
        timing.redis.call("DEL", keys.payload(invocation.payload_token))
        timing.claim(invocation.invoke_id, 0, "i-1")
        timing.finish(invocation.invoke_id, 0, "i-1")
    Unfinished(timing.redis, None, 100).work()
    assert isinstance(timing.claim(invocation.invoke_id, 0, "i-3"), Claimed)


def test_a_work_order_that_cannot_be_read_here_is_not_completed_and_holds_up_no_other(timing: Timing) -> None:
    """As one of a newer release."""
    unreadable, other = cut_off(timing, age_ms=10_000), cut_off(timing, age_ms=10_000)
    envelope = decode_envelope(timing.redis.call("HGET", first_row(unreadable), "envelope"))
    named = encode(replace(envelope, digest=digest(b"{}")))
    timing.redis.call("HSET", first_row(unreadable), "payload", b"{}", "envelope", named)
    Unfinished(timing.redis, None, 100).work()
    assert isinstance(timing.claim(other.invoke_id, 0, "i-2"), Claimed)
    assert not isinstance(timing.claim(unreadable.invoke_id, 0, "i-2"), Claimed)


def test_a_dispatch_is_completed_for_the_time_that_is_left_by_the_clock_of_redis(timing: Timing) -> None:
    in_time, ahead = (cut_off(timing, age_ms=age_ms, master=MASTER) for age_ms in (10_000, -100_000))
    before_ms = timing.server_ms()
    completer = Completer(timing.redis, MASTER, 100)
    for one in (in_time, ahead):
        completer.complete(one, ["i-1", "i-2", "i-3"], ["i-2"], timing.server_ms())
    for one, left_ms in ((in_time, 50_000), (ahead, 60_000)):
        row = timing.row(one.invoke_id, 0, "i-2")
        assert row is not None
        assert before_ms + left_ms - 1_000 <= row.deadline_ms <= timing.server_ms() + left_ms


def test_what_needs_secrets_that_only_the_producer_knew_is_not_completed(timing: Timing) -> None:
    invocation = replace(cut_off(timing, age_ms=10_000, master=MASTER), secret_names=("token",))
    Completer(timing.redis, MASTER, 100).complete(invocation, ["i-1", "i-2"], ["i-2"], timing.server_ms())
    assert not isinstance(timing.claim(invocation.invoke_id, 0, "i-2"), Claimed)
