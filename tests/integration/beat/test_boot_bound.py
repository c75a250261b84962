"""Invocations that run when a machine starts: once per boot, and never because an agent was restarted."""

import threading
from functools import partial

import pytest
from integration.beat.conftest import Timing

from cloud_assistant.beat import boot_notes
from cloud_assistant.beat.boot_notes import BootNotes, note_boots
from cloud_assistant.broker_config import keys, messages
from cloud_assistant.broker_config.errors import Refused, RequestInvalid
from cloud_assistant.broker_config.functions.boot_firings import BootExecution, fire_boot
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.ids import split_execution_id
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.records import RepeatMode
from cloud_assistant.broker_config.security import signing
from cloud_assistant.broker_config.security.signing import MasterKeys, digest
from cloud_assistant.broker_config.timed.boot_bound import BOOT_FIRING_MS, bind
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.shapes import as_text, result_shape
from cloud_assistant.producer.timed.modifying import TimedModification
from harness.eventually import always, eventually

SWEEP_OFTEN = {"CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.2"}
MASTER = MasterKeys("k1", {"k1": b"m" * 32})


def start_machine(timing: Timing, boot_id: str, instance_id: str = "i-1", *, uptime_ms: int = 0) -> list[BootExecution]:
    return fire_boot(
        timing.redis, instance_id, boot_id=boot_id, uptime_ms=uptime_ms, epoch="e", report_margin_ms=60_000
    )


def every_reboot(timing: Timing, *targets: str) -> str:
    return timing.invoke(*targets, frequency="", repeat_mode=RepeatMode.EVERY_REBOOT)


def next_reboot(timing: Timing, *targets: str) -> str:
    return timing.invoke(*targets, frequency="", repeat_mode=RepeatMode.NEXT_REBOOT_ONLY)


def finish(timing: Timing, made: BootExecution) -> None:
    invoke_id, firing_ms, instance_id = split_execution_id(made.execution_id) or ("", 0, "")
    timing.finish(invoke_id, firing_ms, instance_id)


def is_later(timing: Timing, moment_ms: int) -> bool:
    return timing.server_ms() > moment_ms


def test_each_boot_runs_it_once_however_often_the_agent_starts(timing: Timing) -> None:
    every_reboot(timing)
    (first,) = start_machine(timing, "boot-1")
    assert start_machine(timing, "boot-1") == []
    # An execution is named after the millisecond in which its machine started.
    eventually(partial(is_later, timing, timing.server_ms()))
    (second,) = start_machine(timing, "boot-2")
    assert first.execution_id != second.execution_id


def test_of_agents_that_start_at_once_one_gets_it(timing: Timing) -> None:
    every_reboot(timing)
    made: list[BootExecution] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        made.extend(start_machine(timing, "boot-1"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 1


def test_next_reboot_only_runs_once_and_is_over_when_every_target_has_run(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = next_reboot(timing, "i-1", "i-2")
    (one,) = start_machine(timing, "boot-1", "i-1")
    finish(timing, one)
    assert start_machine(timing, "boot-2", "i-1") == []
    eventually(lambda: timing.timed(invoke_id).fired_count == 1)
    assert timing.timed(invoke_id).status == "active"
    (two,) = start_machine(timing, "boot-x", "i-2")
    finish(timing, two)
    eventually(lambda: timing.timed(invoke_id).status == "ended")
    eventually(lambda: timing.redis.call("HGET", keys.invocation(invoke_id), "finished_ms"), what="it is settled")
    described = timing.assistant.describe_invocations(with_rows=True).items[0]
    assert described.status.state == "Success"
    assert [row.instance_id for row in described.rows] == ["i-1", "i-2"]


def test_the_boot_that_goes_on_is_not_the_next_one(timing: Timing) -> None:
    heartbeat(timing.redis, "i-1", "e", {"boot_id": "boot-now"}, ttl_ms=60_000, take_over=True)
    every_reboot(timing)
    assert start_machine(timing, "boot-now") == []
    assert len(start_machine(timing, "boot-next", uptime_ms=10**9)) == 1


def test_without_a_known_boot_a_machine_that_started_before_the_request_does_not_run_it(timing: Timing) -> None:
    every_reboot(timing)
    assert start_machine(timing, "boot-1", uptime_ms=3_600_000) == []
    assert len(start_machine(timing, "boot-2", uptime_ms=0)) == 1


def test_what_is_handed_over_is_claimed_signed_and_worthless_elsewhere(timing: Timing) -> None:
    invoke_id = every_reboot(timing)
    record = load_invocation(timing.redis, invoke_id).record
    payload = timing.redis.call("GET", keys.payload(record.payload_token))
    bind(timing.redis, record, digest(payload), ["i-1"], MASTER, created_ms=timing.server_ms())
    (made,) = start_machine(timing, "boot-1")
    claimed = made.claimed
    assert signing.verify(MASTER.instance_key("i-1"), "i-1", claimed.envelope, claimed.mac)
    envelope = messages.decode_envelope(claimed.envelope)
    assert envelope.firing_ms == BOOT_FIRING_MS
    assert digest(payload) == envelope.digest
    row = timing.row(invoke_id, split_execution_id(made.execution_id)[1])  # type: ignore[index]
    assert row is not None
    assert (row.state, row.boot_id, row.epoch) == ("Running", "boot-1", "e")


def test_a_stopped_one_does_not_run_any_more(timing: Timing) -> None:
    invoke_id = every_reboot(timing, "i-1", "i-2")
    (running,) = start_machine(timing, "boot-1", "i-1")
    changed = timing.assistant.stop_invocation(invoke_id)
    assert changed == {"i-1": "Stopping"}
    assert start_machine(timing, "boot-2", "i-1") == []
    assert start_machine(timing, "boot-1", "i-2") == []
    assert running.execution_id.startswith(invoke_id)


def test_the_history_has_a_row_for_each_boot(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = every_reboot(timing, "i-1", "i-2")
    for boot_id in ("boot-1", "boot-2"):
        (made,) = start_machine(timing, boot_id, "i-1")
        finish(timing, made)
        # Another millisecond, another firing.
        made_ms = (split_execution_id(made.execution_id) or ("", 0, ""))[1]
        eventually(partial(is_later, timing, made_ms))
    firings = timing.wait_for_firings(invoke_id, 2)
    assert [one.instances for one in firings] == [("i-1",), ("i-1",)]
    views = timing.assistant.timed.history(invoke_id).items
    assert [view.outcomes for view in views] == [[("i-1", "Success", "")]] * 2
    described = timing.assistant.describe_invocations(with_rows=True).items[0]
    assert [(row.instance_id, row.state) for row in described.rows] == [("i-1", "Success"), ("i-2", "Scheduled")]
    assert described.status.counts == {"Success": 1, "Scheduled": 1}


def test_of_each_machine_its_own_starts_are_counted(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = every_reboot(timing, "i-1", "i-2", "i-3")
    for instance_id, boot_id in (("i-1", "boot-1"), ("i-1", "boot-2"), ("i-2", "boot-1")):
        (made,) = start_machine(timing, boot_id, instance_id)
        finish(timing, made)
        made_ms = (split_execution_id(made.execution_id) or ("", 0, ""))[1]
        eventually(partial(is_later, timing, made_ms))
    timing.wait_for_firings(invoke_id, 3)
    found = timing.assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id)).items
    shapes = [result_shape(one, as_text) for one in found]
    assert {one["InstanceId"]: one["Repeats"] for one in shapes} == {"i-1": 2, "i-2": 1, "i-3": 0}


def test_an_agent_that_falls_silent_after_a_boot_is_noticed(timing: Timing) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = every_reboot(timing)
    (made,) = start_machine(timing, "boot-1")
    firing_ms = (split_execution_id(made.execution_id) or ("", 0, ""))[1]
    timing.redis.call("HSET", keys.execution("i-1", made.execution_id), "deadline_ms", 1)
    row = eventually(lambda: row if (row := timing.row(invoke_id, firing_ms)) and row.state == "Aborted" else None)
    assert row.outcome.error_code == "ClientNotResponse"


def test_new_content_reaches_those_that_still_wait(timing: Timing) -> None:
    invoke_id = next_reboot(timing, "i-1", "i-2")
    (early,) = start_machine(timing, "boot-1", "i-1")
    timing.assistant.timed.modify(invoke_id, TimedModification(content=b"echo new", instance_ids=["i-3"]))
    assert start_machine(timing, "boot-2", "i-1") == []
    for name in ("i-2", "i-3"):
        (late,) = start_machine(timing, "boot-1", name)
        envelope = messages.decode_envelope(late.claimed.envelope)
        order = messages.decode_order(timing.redis.call("GET", keys.payload(envelope.payload_token)))
        assert isinstance(order, messages.WorkOrder)
        assert order.content == b"echo new"
    before = messages.decode_envelope(early.claimed.envelope)
    assert timing.redis.call("EXISTS", keys.payload(before.payload_token)), "what runs can still read its work order"


def test_it_cannot_be_paused_and_has_no_preview(timing: Timing) -> None:
    invoke_id = every_reboot(timing)
    with pytest.raises(Refused, match="cannot be paused"):
        timing.assistant.timed.pause(invoke_id)
    with pytest.raises(RequestInvalid, match="no due times"):
        timing.assistant.timed.preview_stored(invoke_id)


def test_of_many_targets_and_invocations_a_turn_looks_at_some_and_the_next_goes_on(
    timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_notes, "_TARGETS_PER_TURN", 1)
    monkeypatch.setattr(boot_notes, "_INVOCATIONS_PER_TURN", 2)
    targets = ("i-1", "i-2", "i-3")
    for _ in range(3):
        every_reboot(timing, *targets)
    names = [one.decode() for one in timing.redis.call("ZRANGE", keys.TIMED_BOOT, 0, -1)]
    noting = BootNotes(timing.redis)

    def noted_counts() -> list[int]:
        noting.work()
        latest = timing.redis.pipeline_or_raise([("HLEN", keys.timed_latest(one)) for one in names])
        assert sum(latest) <= sum(seen) + 1
        seen[:] = latest
        return list(latest)

    seen = [0, 0, 0]
    for one in targets:
        assert len(start_machine(timing, "boot-1", one)) == len(names)
    assert noted_counts() == [1, 0, 0]
    eventually(lambda: noted_counts() == [3, 3, 3], what="all are noted")
    # At the end of all of them it begins anew.
    eventually(partial(is_later, timing, timing.server_ms()))
    assert len(start_machine(timing, "boot-2", "i-1")) == len(names)

    def all_noted() -> bool:
        noting.work()
        fired = timing.redis.pipeline_or_raise([("HGET", keys.boot_bound("i-1"), f"{one}:fired") for one in names])
        return fired == [None] * len(names)

    eventually(all_noted, what="the second boot is noted")


def test_next_reboot_only_is_not_over_before_what_has_run_is_noted(timing: Timing) -> None:
    invoke_id = next_reboot(timing, "i-1", "i-2")
    for one in ("i-1", "i-2"):
        assert len(start_machine(timing, "boot-1", one)) == 1
    # It has run already, and nobody has noted it yet.
    timing.assistant.stop_invocation(invoke_id, ["i-2"])
    note_boots(timing.redis, timing.timed(invoke_id), ["i-1"], 2)
    assert (timing.timed(invoke_id).status, timing.timed(invoke_id).fired_count) == ("active", 1)
    note_boots(timing.redis, timing.timed(invoke_id), ["i-2"], 2)
    assert (timing.timed(invoke_id).status, timing.redis.call("HLEN", keys.timed_latest(invoke_id))) == ("ended", 2)


@pytest.mark.parametrize("stopped_last", [False, True])
def test_next_reboot_only_waits_for_every_target_that_was_not_stopped(timing: Timing, stopped_last: bool) -> None:
    timing.start_beat(**SWEEP_OFTEN)
    invoke_id = next_reboot(timing, "i-1", "i-2", "i-3")
    # It has run and is stopped as well: that is one target, not two.
    start_machine(timing, "boot-1", "i-1")
    eventually(lambda: timing.timed(invoke_id).fired_count == 1, what="the first boot is noted")
    timing.assistant.stop_invocation(invoke_id, ["i-1"])
    start_machine(timing, "boot-1", "i-2")
    eventually(lambda: timing.timed(invoke_id).fired_count == 2, what="the second boot is noted")
    always(lambda: timing.timed(invoke_id).status == "active", 1)
    if stopped_last:
        timing.assistant.stop_invocation(invoke_id, ["i-3"])
        assert start_machine(timing, "boot-1", "i-3") == []
    else:
        (third,) = start_machine(timing, "boot-1", "i-3")
        eventually(lambda: timing.timed(invoke_id).fired_count == 3, what="the third boot is noted")
        assert timing.redis.call("ZSCORE", keys.DEADLINES, third.execution_id)
    eventually(lambda: timing.timed(invoke_id).status == "ended", what="it is over")
