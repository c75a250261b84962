"""Promise 5, each due time once: several beats on one store, killed, frozen and restarted, and the server with them."""

import random
from collections.abc import Callable
from functools import partial

import pytest
from integration.beat.conftest import Timing

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.due_stretch import first_due
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.timed import calendar_of
from harness.eventually import always, eventually
from harness.processes import Program
from harness.redis_server import RedisServer

BEATS = ("beat-a", "beat-b", "beat-c")
#: Second-level schedules of several shapes, with the targets of each.
SCHEDULES = (
    ("* * * * * *", ("i-1",)),
    ("*/2 * * * * *", ("i-1", "i-2", "i-3")),
    ("1/3 * * * * *", ("i-2",)),
    ("0,7,8,9,31-40,55 * * * * *", ("i-3", "i-1")),
)


def check_each_due_time_once(timing: Timing, invoke_id: str) -> tuple[int, int]:
    """Compare the rows with the calendar, and the executions with the rows; answer how many fired and were left out."""
    timed = timing.timed(invoke_id)
    rows = timing.firings(invoke_id)
    covered: list[int] = []
    calendar = calendar_of(timed.schedule, timed.anchor_ms)
    for row in rows:
        covered += [due.utc_ms for due in first_due(calendar, row.due_ms - 1, row.until_ms, row.count + 1)]
    assert rows, "nothing was ever decided"
    expected = [due.utc_ms for due in first_due(calendar, timed.anchor_ms, rows[-1].until_ms, 100_000)]
    assert covered == expected, "the rows are not the due times"
    assert sum(row.count for row in rows) == len(expected)
    targets = [one.decode() for one in timing.redis.call("LRANGE", keys.invocation_targets(invoke_id), 0, -1)]
    for row in rows:
        there = {one for one in targets if timing.row(invoke_id, row, one)}
        wanted = set(targets) - set(row.overlap) if row.status == "fired" else set()
        if row.left_out_count:
            assert there <= wanted
        else:
            assert there == wanted, f"{row}: executions on {there}"
        assert row.status in ("fired", "skipped")
    fired_count = sum(row.status == "fired" for row in rows)
    assert timed.fired_count == fired_count
    assert timed.skipped_count == len(expected) - fired_count
    return fired_count, len(expected) - fired_count


def each_execution_was_announced_once(timing: Timing) -> None:
    """No message was pushed twice for one execution: what is in the queues is as unique as the rows."""
    for name in ("i-1", "i-2", "i-3"):
        history = timing.redis.call("ZRANGE", keys.instance_history(name), 0, -1)
        assert len(history) == len(set(history))


def pause(seconds: float) -> None:
    """Let things go on between faults; nothing is awaited here."""
    always(lambda: True, seconds)


def faults(rng: random.Random, beats: list[Program], server: RedisServer) -> list[tuple[str, Callable[[], None]]]:
    beat = rng.choice(beats)

    def kill_and_restart() -> None:
        beat.sigkill()
        beat.start(ready="beat starts")

    def freeze() -> None:
        if beat.is_running:
            beat.sigstop()

    def thaw_all() -> None:
        for one in beats:
            one.sigcont()

    def restart_server() -> None:
        server.kill()
        server.start()

    def hang_server() -> None:
        server.hang()
        pause(rng.uniform(0.2, 2.0))
        server.resume()

    return [
        ("kill a beat", kill_and_restart),
        ("freeze a beat", freeze),
        ("let beats go on", thaw_all),
        ("kill the server", restart_server),
        ("hang the server", hang_server),
    ]


def run_faults(timing: Timing, server: RedisServer, seconds: float, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    beats = [timing.start_beat(name, CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.5") for name in BEATS]
    invoke_ids = [timing.invoke(*targets, frequency=frequency, overlap="allow") for frequency, targets in SCHEDULES]
    end_ms = timing.server_ms() + int(seconds * 1000)
    done: dict[str, int] = {}

    def is_over() -> bool:
        try:
            return timing.server_ms() >= end_ms
        except RedisUnreachable:
            return False

    while not is_over():
        name, do = rng.choices(faults(rng, beats, server), weights=(4, 4, 4, 1, 1))[0]
        do()
        done[name] = done.get(name, 0) + 1
        pause(rng.uniform(0.05, 0.8))
    for beat in beats:
        beat.sigcont()
    stop_ms = timing.server_ms()
    for invoke_id in invoke_ids:
        eventually(partial(due_is_after, timing, invoke_id, stop_ms), 15, "beats have caught up")
        timing.assistant.timed.pause(invoke_id)
    for beat in beats:
        beat.stop()
    eventually(lambda: not timing.redis.call("ZCARD", keys.TIMED_DISPATCHING), 5, "no dispatch is left")
    outcome = [check_each_due_time_once(timing, one) for one in invoke_ids]
    done["fired"] = sum(one[0] for one in outcome)
    done["left out"] = sum(one[1] for one in outcome)
    each_execution_was_announced_once(timing)
    return done


def due_is_after(timing: Timing, invoke_id: str, moment_ms: int) -> bool:
    due = timing.timed(invoke_id).due
    return due is not None and due.utc_ms > moment_ms


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_each_due_time_has_one_row_whatever_happens_to_beats_and_server(
    timing: Timing, redis_server: RedisServer
) -> None:
    done = run_faults(timing, redis_server, seconds=25, seed=7)
    assert done["fired"] > 20


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
def test_each_due_time_has_one_row_through_a_long_run_of_faults(
    timing: Timing, redis_server: RedisServer, seed: int
) -> None:
    done = run_faults(timing, redis_server, seconds=60, seed=seed)
    print(done)
    assert done["fired"] > 60


def test_three_beats_without_faults_double_nothing(timing: Timing) -> None:
    for name in BEATS:
        timing.start_beat(name)
    invoke_ids = [timing.invoke(*targets, frequency=frequency, overlap="allow") for frequency, targets in SCHEDULES]
    timing.wait_for_firings(invoke_ids[0], 4)
    for one in invoke_ids:
        timing.assistant.timed.pause(one)
    assert check_each_due_time_once(timing, invoke_ids[0])[0] >= 4


def test_a_frozen_beat_that_goes_on_repeats_nothing(timing: Timing) -> None:
    first = timing.start_beat("beat-a")
    invoke_id = timing.invoke(overlap="allow")
    timing.wait_for_firings(invoke_id, 2)
    first.sigstop()
    second = timing.start_beat("beat-b")
    count = len(timing.firings(invoke_id))
    timing.wait_for_firings(invoke_id, count + 2)
    first.sigcont()
    timing.wait_for_firings(invoke_id, count + 4)
    timing.assistant.timed.pause(invoke_id)
    check_each_due_time_once(timing, invoke_id)
    assert first.is_running
    assert second.is_running
