"""A firing with more targets than one call takes, and beats that die in the middle of it."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from integration.beat.conftest import Timing
from integration.beat.test_sweeper import MASTER

from cloud_assistant.beat.decisions import Policies
from cloud_assistant.beat.dispatching import Dispatches
from cloud_assistant.beat.firing_chunks import CHUNK_COUNT, ChunkBuilder
from cloud_assistant.beat.preparing import Prepared, Preparer
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.firings import continue_firing_command, firing_step
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.messages import decode_envelope
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.timed.timed_invocation import timed_fields
from cloud_assistant.producer.timed.modifying import TimedModification
from harness.eventually import eventually

TARGETS = [f"i-many{number:04d}" for number in range(3 * CHUNK_COUNT - 50)]
POLICIES = Policies("latest", 10, 3_600_000, 60_000)


@pytest.fixture
def crowd(timing: Timing) -> Timing:
    for one in TARGETS:
        register_instance(timing.redis, one, {}, now_ms=1, must_be_new=True)
    return timing


def existing(timing: Timing, invoke_id: str, due_ms: int) -> int:
    commands = [("EXISTS", keys.execution(one, f"{invoke_id}.{due_ms}@{one}")) for one in TARGETS]
    return sum(timing.redis.pipeline_or_raise(commands))


def open_one(timing: Timing, invoke_id: str, builder: ChunkBuilder) -> Prepared:
    """Do what a beat does first: decide, and write the first targets. Then it might die."""
    due = timing.timed(invoke_id).due
    assert due is not None
    eventually(lambda: timing.server_ms() >= due.utc_ms)
    (prepared,) = Preparer(timing.redis, builder, POLICIES).prepare([invoke_id], timing.server_ms())
    assert isinstance(prepared, Prepared)
    step = firing_step(run(timing.redis, prepared.command))
    assert (step.word, step.is_done) == ("opened", False)
    return prepared


def test_every_target_of_a_large_firing_gets_its_execution(crowd: Timing) -> None:
    crowd.start_beat()
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    firing = crowd.wait_for_firings(invoke_id, 1)[0]
    assert (firing.status, firing.created_count) == ("fired", len(TARGETS))
    assert existing(crowd, invoke_id, firing.due_ms) == len(TARGETS)


def test_what_a_dead_beat_has_begun_another_completes(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    builder = ChunkBuilder(None, "beat-that-dies", 100)
    prepared = open_one(crowd, invoke_id, builder)
    assert existing(crowd, invoke_id, prepared.due_ms) == CHUNK_COUNT
    crowd.start_beat()
    firing = crowd.wait_for_firings(invoke_id, 1)[0]
    assert (firing.status, firing.created_count, firing.left_out_count) == ("fired", len(TARGETS), 0)
    assert existing(crowd, invoke_id, prepared.due_ms) == len(TARGETS)


def test_a_beat_that_comes_back_after_its_lease_changes_nothing(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    builder = ChunkBuilder(None, "beat-that-freezes", 100)
    prepared = open_one(crowd, invoke_id, builder)
    crowd.start_beat()
    crowd.wait_for_firings(invoke_id, 1)
    assert prepared.chunk is not None
    stale = replace(prepared.chunk, first_place=CHUNK_COUNT, end_place=2 * CHUNK_COUNT)
    assert firing_step(run(crowd.redis, continue_firing_command(stale))).word == "lost"


def test_targets_that_are_left_when_the_next_due_time_comes_are_left_out_and_counted(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="*/2 * * * * *")
    builder = ChunkBuilder(None, "beat-that-dies", 100)
    first = open_one(crowd, invoke_id, builder)
    second = open_one(crowd, invoke_id, builder)
    rows = crowd.firings(invoke_id)
    assert [row.due_ms for row in rows] == [first.due_ms, second.due_ms]
    assert (rows[0].status, rows[0].left_out_count) == ("fired", len(TARGETS) - CHUNK_COUNT)
    assert "next due time" in rows[0].info


def test_what_is_changed_in_the_middle_of_a_dispatch_waits_for_the_next_due_time(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    builder = ChunkBuilder(None, "beat-one", 100)
    prepared = open_one(crowd, invoke_id, builder)
    changed = crowd.assistant.timed.modify(invoke_id, TimedModification(content=b"echo new", instance_ids=["i-3"]))
    dispatches = Dispatches(crowd.redis, builder)
    assert prepared.chunk is not None
    dispatches.add(prepared.timed, prepared.chunk)
    while dispatches.work(crowd.server_ms()):
        pass
    rows = crowd.redis.pipeline_or_raise(
        [
            ("HMGET", keys.execution(one, f"{invoke_id}.{prepared.due_ms}@{one}"), "command_id", "envelope")
            for one in TARGETS
        ]
    )
    given = {(command_id.decode(), decode_envelope(envelope).digest) for command_id, envelope in rows}
    assert given == {(prepared.timed.command_id, prepared.timed.digest)}
    assert changed != prepared.timed.command_id
    (firing,) = crowd.firings(invoke_id)
    assert (firing.status, firing.created_count) == ("fired", len(TARGETS))
    assert crowd.row(invoke_id, prepared.due_ms, "i-3") is None


def test_what_is_sealed_and_not_what_stood_there_for_a_moment_is_signed_for_the_rest(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    meant = crowd.timed(invoke_id).digest
    record = load_invocation(crowd.redis, invoke_id).record
    sealed = timed_fields(record, meant, TARGETS, MASTER)
    crowd.redis.call("HSET", keys.timed(invoke_id), *(part for pair in sealed.items() for part in pair))
    prepared = open_one(crowd, invoke_id, ChunkBuilder(MASTER, "beat-that-dies", 100))
    lease_ms = float(crowd.redis.call("ZRANGE", keys.TIMED_DISPATCHING, 0, 0, "WITHSCORES")[1])
    eventually(lambda: crowd.server_ms() > lease_ms)
    dispatches = Dispatches(crowd.redis, ChunkBuilder(MASTER, "beat-two", 100))
    dispatches.next_ms = lease_ms
    # Somebody who can write to Redis has another script there as it is taken over, and then the old one again.
    crowd.redis.call("HSET", keys.timed(invoke_id), "digest", "0" * 64)
    assert dispatches.work(crowd.server_ms())
    crowd.redis.call("HSET", keys.timed(invoke_id), "digest", meant)
    while existing(crowd, invoke_id, prepared.due_ms) < len(TARGETS):
        assert dispatches.work(crowd.server_ms())
    commands = [("HGET", keys.execution(one, f"{invoke_id}.{prepared.due_ms}@{one}"), "envelope") for one in TARGETS]
    assert {decode_envelope(one).digest for one in crowd.redis.pipeline_or_raise(commands)} == {meant}


def test_a_dispatch_that_cannot_be_read_any_more_holds_up_no_beat(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    open_one(crowd, invoke_id, ChunkBuilder(None, "beat-that-dies", 100))
    crowd.redis.call("HSET", keys.timed(invoke_id), "schedule", '{"repeat_mode":"Weekly"}')
    lease_ms = float(crowd.redis.call("ZRANGE", keys.TIMED_DISPATCHING, 0, 0, "WITHSCORES")[1])
    eventually(lambda: crowd.server_ms() > lease_ms)
    dispatches = Dispatches(crowd.redis, ChunkBuilder(None, "beat-two", 100))
    dispatches.next_ms = lease_ms
    assert dispatches.work(crowd.server_ms()), "it was taken over"
    (firing,) = crowd.firings(invoke_id)
    assert (firing.status, firing.created_count) == ("dispatching", CHUNK_COUNT)


def test_a_stop_in_the_middle_of_a_dispatch_ends_it(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    builder = ChunkBuilder(None, "beat-one", 100)
    prepared = open_one(crowd, invoke_id, builder)
    crowd.assistant.stop_invocation(invoke_id)
    dispatches = Dispatches(crowd.redis, builder)
    assert prepared.chunk is not None
    dispatches.add(prepared.timed, prepared.chunk)
    dispatches.work(crowd.server_ms())
    (firing,) = crowd.firings(invoke_id)
    assert (firing.status, firing.left_out_count) == ("fired", len(TARGETS) - CHUNK_COUNT)
    assert "stopped" in firing.info
    assert existing(crowd, invoke_id, prepared.due_ms) == CHUNK_COUNT


class Interrupted(Redis):
    """A connection of a beat that something happens to just before it sends the next part of a dispatch."""

    happens: Callable[[], object] | None = None

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        happens = self.happens
        if happens and any(str(part).startswith("ca_continue_firing") for one in commands for part in one):
            self.happens = None
            happens()
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def test_an_instance_that_is_stopped_as_its_part_is_on_the_way_gets_no_execution(crowd: Timing) -> None:
    invoke_id = crowd.invoke(*TARGETS, frequency="0 0 * * * *")
    crowd.set_back(invoke_id, crowd.server_ms() // 1000 * 1000)
    builder = ChunkBuilder(None, "beat-one", 100)
    prepared = open_one(crowd, invoke_id, builder)
    assert prepared.chunk is not None
    stopped = TARGETS[CHUNK_COUNT]
    with closing(Interrupted(crowd.redis.url)) as interrupted:
        interrupted.happens = partial(crowd.assistant.stop_invocation, invoke_id, [stopped])
        dispatches = Dispatches(interrupted, builder)
        dispatches.add(prepared.timed, prepared.chunk)
        while dispatches.work(crowd.server_ms()):
            pass
        assert interrupted.happens is None
    assert crowd.row(invoke_id, prepared.due_ms, stopped) is None
    assert existing(crowd, invoke_id, prepared.due_ms) == len(TARGETS) - 1
    (firing,) = crowd.firings(invoke_id)
    assert (firing.status, firing.left_out_count) == ("fired", 0)
