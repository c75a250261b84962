"""One beat fires what is due, when it is due, and says what it did."""

from collections.abc import Sequence
from functools import partial

import pytest
from integration.beat.conftest import Timing, due_seconds
from integration.beat.test_sweeper import MASTER

from cloud_assistant.beat.decisions import Policies
from cloud_assistant.beat.firing_chunks import ChunkBuilder
from cloud_assistant.beat.preparing import Prepared, Preparer
from cloud_assistant.broker_config import keys, messages
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.schedule import DueTime
from cloud_assistant.broker_config.security.signing import digest, parse_signature
from cloud_assistant.broker_config.timed.firing_rows import Firing
from cloud_assistant.broker_config.timed.timed_invocation import timed_fields
from harness.eventually import always, eventually


def test_each_due_time_gets_one_row_and_each_target_one_execution(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2", overlap="allow", misfire="all")
    firings = timing.wait_for_firings(invoke_id, 4)
    seconds = due_seconds(firings)
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    assert {one.status for one in firings} == {"fired"}
    assert {(one.created_count, one.target_count) for one in firings} == {(2, 2)}
    for firing in firings:
        assert timing.state(invoke_id, firing, "i-1")
        assert timing.state(invoke_id, firing, "i-2")


def test_a_firing_is_decided_within_a_fraction_of_a_second_of_its_due_time(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke()
    late_ms = [firing.decided_ms - firing.due_ms for firing in timing.wait_for_firings(invoke_id, 3)]
    # The best of three: a busy machine may hold one up, a beat that polls would hold up all.
    assert 0 <= min(late_ms) < 1000


def test_an_agent_can_claim_what_was_fired_and_finds_the_work_order_that_was_signed_for(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke()
    firing = timing.wait_for_firings(invoke_id, 1)[-1]
    claimed = timing.claim(invoke_id, firing)
    assert isinstance(claimed, Claimed)
    envelope = messages.decode_envelope(claimed.envelope)
    assert (envelope.invoke_id, envelope.firing_ms) == (invoke_id, firing.due_ms)
    payload = timing.redis.call("GET", keys.payload(envelope.payload_token))
    assert digest(payload) == envelope.digest
    order = messages.decode_order(payload)
    assert isinstance(order, messages.WorkOrder)
    assert order.content == b"echo 123"


def test_an_execution_that_nobody_took_expires_when_the_next_one_is_due(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke()
    first, second = timing.wait_for_firings(invoke_id, 2)[:2]
    assert first.deadline_ms == second.due_ms - 1
    row = eventually(lambda: row if (row := timing.row(invoke_id, first)) and row.state == "Aborted" else None)
    assert row.outcome.error_code == "ClientNotRunning"
    assert not isinstance(timing.claim(invoke_id, first), Claimed)


def test_a_time_for_delivery_of_its_own_is_kept_when_it_is_shorter(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke(frequency="*/10 * * * * *", deliver_within_seconds=2)
    firing = timing.wait_for_firings(invoke_id, 1)[0]
    assert 2000 <= firing.deadline_ms - firing.due_ms <= 2500


def test_an_instance_that_is_away_does_not_gather_messages(timing: Timing) -> None:
    timing.start_beat(CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.2")
    invoke_id = timing.invoke()
    timing.wait_for_firings(invoke_id, 6)
    waiting = [timing.redis.call("LLEN", keys.queue("i-1")) for _ in range(10)]
    assert max(waiting) <= 3


def test_what_happens_equals_the_preview(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="0/3 * * * * *")
    preview = timing.assistant.timed.preview_stored(invoke_id, count=3)
    timing.start_beat()
    firings = timing.wait_for_firings(invoke_id, 3)
    assert [one.due_ms for one in firings[:3]] == [due.utc_ms for due in preview.due_times]


def test_a_schedule_ends_after_its_most_runs_and_is_settled_when_the_last_has_ended(timing: Timing) -> None:
    timing.start_beat(CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.2")
    invoke_id = timing.invoke(max_count=2, overlap="allow")
    firings = timing.wait_for_firings(invoke_id, 2)
    eventually(lambda: timing.timed(invoke_id).status == "ended")
    assert timing.timed(invoke_id).end_reason == "max_count"
    always(lambda: len(timing.firings(invoke_id)) == 2, 1.5)
    assert len(firings) == 2
    done = eventually(lambda: timing.assistant.describe_invocations().items[0], what="the only invocation")
    eventually(lambda: timing.redis.call("HGET", keys.invocation(invoke_id), "finished_ms"), what="it is settled")
    assert done.stored.record.invoke_id == invoke_id


def test_a_schedule_ends_at_its_end_time(timing: Timing) -> None:
    timing.start_beat()
    end_ms = timing.server_ms() + 2500
    invoke_id = timing.invoke(end_ms=end_ms)
    eventually(lambda: timing.timed(invoke_id).status == "ended")
    assert timing.timed(invoke_id).end_reason == "end_time"
    firings = timing.wait_for_firings(invoke_id, 1)
    assert all(one.due_ms <= end_ms for one in firings)
    assert end_ms - firings[-1].due_ms < 1000


def test_what_is_new_is_fired_at_its_first_due_time_although_beats_slept_till_later(timing: Timing) -> None:
    beat = timing.start_beat()
    sleeping = timing.invoke(frequency="0 0 0 1 1 *")
    eventually(lambda: timing.timed(sleeping).due)
    for _ in range(3):
        invoke_id = timing.invoke()
        due = timing.timed(invoke_id).due
        firing = timing.wait_for_firings(invoke_id, 1)[0]
        assert due is None or firing.due_ms <= due.utc_ms
        assert firing.decided_ms - firing.due_ms < 500, beat.log_tail()
        timing.assistant.stop_invocation(invoke_id)


def is_released(timing: Timing, invoke_id: str, firing: Firing, instance_id: str) -> bool:
    return timing.state(invoke_id, firing, instance_id) != "Scheduled"


def test_jitter_delays_each_instance_by_its_own_time_and_always_the_same(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2", "i-3", frequency="*/3 * * * * *", jitter_seconds=1.0)
    delays: dict[str, set[int]] = {"i-1": set(), "i-2": set(), "i-3": set()}
    for firing in timing.wait_for_firings(invoke_id, 2)[:2]:
        assert firing.waiting_count == 3
        for name, seen in delays.items():
            execution = f"{invoke_id}.{firing.due_ms}@{name}"
            not_before = timing.redis.call("HGET", keys.execution(name, execution), "not_before_ms")
            seen.add(int(not_before) - firing.due_ms)
            eventually(partial(is_released, timing, invoke_id, firing, name))
    assert all(len(seen) == 1 for seen in delays.values())
    assert len({next(iter(seen)) for seen in delays.values()}) == 3
    assert all(0 < next(iter(seen)) < 1000 for seen in delays.values())


def test_history_shows_the_outcome_of_each_target(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2", frequency="*/2 * * * * *")
    firing = timing.wait_for_firings(invoke_id, 1)[0]
    timing.claim(invoke_id, firing, "i-1")
    timing.finish(invoke_id, firing, "i-1")
    view = timing.assistant.timed.history(invoke_id).items[-1]
    assert view.firing.due_ms == firing.due_ms
    assert dict.fromkeys(state for _, state, _ in view.outcomes) == dict.fromkeys(["Success", "Pending"])


@pytest.mark.parametrize(
    "spoiled",
    [
        # As of a release that knows more than this one.
        [("HSET", "schedule", '{"repeat_mode":"Weekly"}')],
        [("HSET", "schedule", b"\xff")],
        [("DEL",), ("LPUSH", "x")],
    ],
    ids=["newer", "no UTF-8", "another kind of value"],
)
def test_a_schedule_that_cannot_be_read_holds_up_no_other(
    timing: Timing, spoiled: Sequence[tuple[str | bytes, ...]]
) -> None:
    unreadable, other = timing.invoke(), timing.invoke()
    timing.redis.pipeline_or_raise([(verb, keys.timed(unreadable), *rest) for verb, *rest in spoiled])
    beat = timing.start_beat()
    timing.wait_for_firings(other, 2)
    assert beat.is_running
    assert f"the timed invocation {unreadable} cannot be read" in beat.log()
    assert timing.redis.call("ZSCORE", keys.TIMED_DUE, unreadable) is not None, "it is not given up"


def test_what_no_producer_with_the_key_has_sealed_is_left_out_and_said_so(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="*/2 * * * * *")
    due = timing.timed(invoke_id).due
    assert due is not None
    eventually(lambda: timing.server_ms() >= due.utc_ms)
    policies = Policies("latest", 10, 3_600_000, 60_000)
    preparer = Preparer(timing.redis, ChunkBuilder(MASTER, "beat-one", 100), policies)
    (prepared,) = preparer.prepare([invoke_id], timing.server_ms())
    assert isinstance(prepared, Prepared)
    assert run(timing.redis, prepared.command) == [b"skipped"]
    (firing,) = timing.firings(invoke_id)
    assert (firing.due_ms, firing.status, firing.reason) == (due.utc_ms, "skipped", "refused")
    assert "not sealed" in firing.info
    assert timing.row(invoke_id, firing) is None
    assert timing.redis.call("LLEN", keys.queue("i-1")) == 0


def test_each_target_is_signed_for_with_the_key_that_redis_says_it_holds(timing: Timing) -> None:
    invoke_id = timing.invoke("i-1", "i-2", frequency="0 0 3 * * *")
    record = load_invocation(timing.redis, invoke_id).record
    sealed = timed_fields(record, "digest", ["i-1", "i-2"], MASTER)
    timing.redis.call("HSET", keys.timed(invoke_id), *(part for pair in sealed.items() for part in pair))
    timing.redis.call("HSET", keys.KEY_IDS, "i-2", "k1.5")
    preparer = Preparer(timing.redis, ChunkBuilder(MASTER, "beat", 100), Policies("latest", 10, 3_600_000, 60_000))
    (prepared,) = preparer.prepare([invoke_id], timing.server_ms())
    assert isinstance(prepared, Prepared)
    assert prepared.chunk is not None
    signed_with = [parse_signature(target.signature).key_id for target in prepared.chunk.targets]
    assert signed_with == ["k1", "k1.5"]


def test_a_decision_that_redis_does_not_take_holds_up_no_other(timing: Timing) -> None:
    refused, other = timing.invoke(), timing.invoke()
    timing.redis.call("SET", keys.firings(refused), "no rows of firings")
    beat = timing.start_beat()
    timing.wait_for_firings(other, 2)
    eventually(lambda: f"Redis refuses a decision invocation={refused}" in beat.log())
    assert beat.is_running


def test_a_new_schedule_knows_the_due_time_after_its_first_one(timing: Timing) -> None:
    timed = timing.timed(timing.invoke(frequency="0 0 3 * * *"))
    assert timed.due is not None
    assert timed.is_planned
    assert timed.following == DueTime(timed.due.utc_ms + 86_400_000)
    last = timing.timed(timing.invoke(frequency="at(2090-01-01 00:00:00)"))
    assert (last.is_planned, last.following) == (True, None)
