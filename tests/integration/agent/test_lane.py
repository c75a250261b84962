"""What an agent does beside scripts: it obeys stops at once, looks at the ledger where there is reason, and goes on."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from integration.agent.test_heartbeat import beats_of
from integration.agent.test_reconciler import EXECUTION, ID, hints, leave_row, link, reconciler

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.functions.instances import Beat
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.worker import lane as lane_module
from cloud_assistant.worker import reconciler as reconciler_module
from cloud_assistant.worker.backoff import Backoff
from cloud_assistant.worker.lane import Lane
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.reconciler import Reconciler
from harness.eventually import always, eventually
from harness.redis_server import RedisServer

__all__ = ["link", "reconciler"]

#: Instead of two seconds.
SOON_SECONDS = 0.2


class Script:
    """A script in hand."""

    def __init__(self) -> None:
        self.stop_count = 0

    def stop(self) -> None:
        self.stop_count += 1


class RunningLane:
    """A lane at work, and what it told of itself."""

    def __init__(self, redis: Redis, reconciler: Reconciler, home: Path) -> None:
        self.redis = redis
        self.turns_count = 0
        self.looks_count = 0
        self.beats: list[Beat] = []
        self.defects_count = 0
        self.script = Script()
        reconciler.in_hand.enter(EXECUTION)
        reconciler.in_hand.attach(EXECUTION, self.script)
        self._look, reconciler.look = reconciler.look, self._counted_look  # type: ignore[method-assign]
        heartbeat = beats_of(redis, home)
        heartbeat.first()
        self.lane = Lane(
            redis=redis,
            instance_id=ID,
            heartbeat=heartbeat,
            reconciler=reconciler,
            in_hand=reconciler.in_hand,
            link=LinkState(),
            interval_seconds=60.0,
            on_beat=self._note_beat,
            on_turn=self._note_turn,
        )

    def ask_for_stop(self) -> None:
        self.redis.call("RPUSH", keys.control(ID), f'{{"v":1,"stop":"{EXECUTION}"}}')

    def _counted_look(self, *, at_start: bool = False) -> bool:
        self.looks_count += 1
        return self._look(at_start=at_start)

    def _note_turn(self) -> None:
        self.turns_count += 1

    def _note_beat(self, beat: Beat) -> None:
        self.beats.append(beat)
        if self.defects_count:
            self.defects_count -= 1
            raise ValueError("a defect")


@pytest.fixture
def running(
    redis: Redis, reconciler: Reconciler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningLane]:
    monkeypatch.setattr(lane_module, "MISSED_AFTER_SECONDS", SOON_SECONDS)
    monkeypatch.setattr(reconciler_module, "MISSED_AFTER_SECONDS", SOON_SECONDS)
    made = RunningLane(redis, reconciler, tmp_path)
    yield made
    made.lane.stop()
    redis.call("RPUSH", keys.control(ID), "the end")
    eventually(lambda: not any(one.name == "lane" for one in threading.enumerate()), what="the lane ends")


def test_a_stop_is_obeyed_at_once_and_a_message_that_cannot_be_read_is_dropped(
    running: RunningLane, caplog: pytest.LogCaptureFixture
) -> None:
    running.redis.call("RPUSH", keys.control(ID), b"\xff", '{"stop": 5}')
    running.ask_for_stop()
    running.lane.start()
    eventually(lambda: running.script.stop_count == 1, 5)
    assert running.beats == []
    assert sum("cannot be read" in line for line in caplog.messages) == 2
    assert "lane failed" not in caplog.text
    eventually(lambda: running.beats)
    running.ask_for_stop()
    # The next beat comes in a minute.
    eventually(lambda: running.script.stop_count == 2, 5)


def test_a_stop_of_what_is_not_in_hand_has_its_row_looked_at(
    running: RunningLane, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No look at the whole ledger comes to its help.
    monkeypatch.setattr(lane_module, "MISSED_AFTER_SECONDS", 60.0)
    reconciler.in_hand.leave(EXECUTION)
    row = leave_row(running.redis, "Stopping", "this")
    running.ask_for_stop()
    running.lane.start()
    eventually(lambda: running.redis.call("HGET", row, "state") == b"Terminated", 5)


def test_the_ledger_is_looked_at_once_and_then_where_something_is_open(running: RunningLane) -> None:
    running.lane.interval_seconds = SOON_SECONDS
    running.lane.start()
    eventually(lambda: len(running.beats) >= 3)
    assert running.looks_count == 1
    leave_row(running.redis, "Running", "this")
    eventually(lambda: running.looks_count >= 3)


def test_a_message_that_may_be_on_its_way_is_looked_for_again_soon(
    running: RunningLane, reconciler: Reconciler
) -> None:
    reconciler.in_hand.leave(EXECUTION)
    leave_row(running.redis, "Pending")
    running.lane.start()
    eventually(lambda: hints(running.redis) == [EXECUTION], 5)
    assert running.looks_count == 2


def test_after_a_defect_stops_are_obeyed_before_the_next_beat(running: RunningLane) -> None:
    running.defects_count = 1_000
    running.lane.start()
    eventually(lambda: len(running.beats) >= 2)
    running.ask_for_stop()
    eventually(lambda: running.script.stop_count == 1, 5)
    turns, beats = running.turns_count, len(running.beats)
    always(lambda: running.turns_count < turns + 60, 0.5, "it rests after each failure")
    assert len(running.beats) < beats + 10


def test_it_rests_after_each_stop_that_fails(running: RunningLane, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(script: Script) -> None:
        script.stop_count += 1
        raise ValueError("a defect")

    monkeypatch.setattr(Script, "stop", fail)
    for _ in range(100):
        running.ask_for_stop()
    running.lane.start()
    eventually(lambda: running.script.stop_count)
    always(lambda: running.script.stop_count < 20, 0.5, "it rests after each failure")


def test_when_redis_is_back_it_beats_and_looks_at_the_ledger_at_once(
    running: RunningLane, redis_server: RedisServer
) -> None:
    running.lane.start()
    eventually(lambda: len(running.beats) == 1)
    assert running.looks_count == 1
    redis_server.stop()
    eventually(lambda: not running.lane.link.is_up)
    turns = running.turns_count
    always(lambda: running.turns_count < turns + 20, 0.5, "it rests after each failure")
    eventually(lambda: running.turns_count > turns + 1, what="turns go on")
    redis_server.start()
    eventually(lambda: running.lane.link.is_up and running.looks_count == 2)
    running.ask_for_stop()
    eventually(lambda: running.script.stop_count == 1, 5)
    assert len(running.beats) == 2


def test_a_second_outage_is_tried_as_soon_as_the_first(
    running: RunningLane, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_seconds: list[float] = []

    class Noted(Backoff):
        def next_seconds(self) -> float:
            waits_seconds.append(super().next_seconds())
            return waits_seconds[-1]

    def has_tried(count: int) -> bool:
        return len(waits_seconds) >= count

    def has_stopped(count: int) -> bool:
        return running.script.stop_count == count

    monkeypatch.setattr(lane_module, "Backoff", Noted)
    running.lane.start()
    eventually(lambda: running.beats)
    for stops_count in (1, 2):
        before_count = len(waits_seconds)
        redis_server.stop()
        eventually(partial(has_tried, before_count + 4), what="it tries again and again")
        assert waits_seconds[before_count] <= 0.1
        redis_server.start()
        running.ask_for_stop()
        eventually(partial(has_stopped, stops_count), what="a stop is obeyed")


def test_a_beat_that_is_overdue_does_not_wait_for_a_stop(running: RunningLane) -> None:
    running.lane.interval_seconds = 0.0
    running.lane.start()
    eventually(lambda: len(running.beats) >= 5, 3)


def test_a_fleet_does_not_beat_in_step(running: RunningLane) -> None:
    waits_seconds = [running.lane._beat() - monotonic_seconds() for _ in range(30)]
    assert 47 < min(waits_seconds) < 58
    assert 62 < max(waits_seconds) < 73


def test_turns_are_taken_between_beats_that_are_far_apart(
    running: RunningLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.redis.timeout_seconds = 1.0
    running.redis.close()
    running.lane.start()
    eventually(lambda: len(running.beats) == 1)
    # Longer than a late reply is waited for: the time that the server was told to wait does not count.
    monkeypatch.setattr(lane_module, "_LATE_SECONDS", 1.0)
    monkeypatch.setattr(lane_module, "_TURN_SECONDS", 1.5)
    running.ask_for_stop()
    turns = running.turns_count
    eventually(lambda: running.turns_count >= turns + 3, 6)
    assert running.lane.link.is_up
    assert len(running.beats) == 1


def test_connections_that_nobody_uses_are_closed(
    running: RunningLane, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "_CLOSE_IDLE_SECONDS", SOON_SECONDS)
    running.lane.interval_seconds = SOON_SECONDS
    begun = running.redis.begin([("PING",)])
    assert begun is not None
    running.redis.call("PING")
    begun.replies()
    with redis_server.client() as looker:

        def connections_count() -> int:
            return sum(one["name"] == running.redis.name for one in looker.client_list())

        assert connections_count() == 2
        running.lane.start()
        eventually(lambda: connections_count() == 1)


def test_a_lane_that_has_ended_obeys_no_more(running: RunningLane) -> None:
    running.lane.start()
    eventually(lambda: running.beats)
    running.lane.stop()
    running.ask_for_stop()
    eventually(lambda: running.redis.call("LLEN", keys.control(ID)) == 0)
    eventually(lambda: not any(one.name == "lane" for one in threading.enumerate()), what="the lane ends")
    assert running.script.stop_count == 0
