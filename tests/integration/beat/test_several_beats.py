"""Promise 5, each due time once: several beats on one store, killed, frozen and restarted, and the server with them."""

from pathlib import Path

import pytest
from integration.beat.beat_faults import BEATS, SCHEDULES, check_each_due_time_once, run_faults
from integration.beat.conftest import Timing

from harness.redis_server import RedisServer


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_each_due_time_has_one_row_and_runs_once_whatever_happens_to_beats_and_server(
    timing: Timing, redis_server: RedisServer, tmp_path: Path
) -> None:
    done = run_faults(timing, redis_server, tmp_path / "trace", seconds=12, seed=7)
    assert done["fired"] > 10
    assert done["ran"] > 10


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
def test_each_due_time_has_one_row_and_runs_once_through_a_long_run_of_faults(
    timing: Timing, redis_server: RedisServer, tmp_path: Path, seed: int
) -> None:
    done = run_faults(timing, redis_server, tmp_path / "trace", seconds=60, seed=seed)
    print(done)
    assert done["fired"] > 60
    assert done["ran"] > 60


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
