"""A clock that is set, on the scheduler's machine or on Redis', neither doubles nor loses a due time."""

from pathlib import Path

import pytest
from integration.beat.conftest import Timing, due_seconds

from harness.clock import SteppedClock
from harness.eventually import eventually
from harness.redis_server import RedisServer


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_step_of_the_schedulers_own_clock_changes_nothing(timing: Timing, folder: Path, seconds: int) -> None:
    clock = SteppedClock(folder / "clock")
    timing.start_beat(**clock.environment)
    # All: a machine so busy that the beat comes a second late must not look like a clock that was stepped.
    invoke_id = timing.invoke(overlap="allow", misfire="all")
    count = len(timing.wait_for_firings(invoke_id, 2))
    clock.step(seconds)
    firings = timing.wait_for_firings(invoke_id, count + 3)
    seconds_due = due_seconds(firings)
    assert seconds_due == list(range(seconds_due[0], seconds_due[0] + len(firings)))
    assert {one.status for one in firings} == {"fired"}
    assert all(0 <= one.decided_ms - one.due_ms < 60_000 for one in firings)


@pytest.fixture
def server_clock(redis_server: RedisServer, folder: Path) -> SteppedClock:
    clock = SteppedClock(folder / "server-clock")
    redis_server.program.env.update(clock.environment)
    redis_server.restart()
    return clock


def test_when_redis_clock_jumps_forward_what_it_jumped_over_is_missed_and_not_lost(
    timing: Timing, server_clock: SteppedClock
) -> None:
    timing.start_beat()
    invoke_id = timing.invoke(overlap="allow")
    count = len(timing.wait_for_firings(invoke_id, 2))
    server_clock.step(30)
    firings = timing.wait_for_firings(invoke_id, count + 32)
    seconds = due_seconds(firings)
    assert seconds == list(range(seconds[0], seconds[0] + len(firings)))
    assert sum(one.reason == "misfire" for one in firings) >= 28
    assert firings[-1].status == "fired"


def test_when_redis_clock_is_put_back_no_due_time_comes_twice(timing: Timing, server_clock: SteppedClock) -> None:
    timing.start_beat()
    invoke_id = timing.invoke(overlap="allow", misfire="all")
    count = len(timing.wait_for_firings(invoke_id, 2))
    server_clock.step(-4)
    firings = timing.wait_for_firings(invoke_id, count + 2)
    seconds = due_seconds(firings)
    assert seconds == list(range(seconds[0], seconds[0] + len(firings)))
    assert {one.status for one in firings} == {"fired"}
    assert timing.timed(invoke_id).fired_count == len(timing.firings(invoke_id))


def test_a_time_that_the_wall_clock_jumps_over_follows_the_gap_policy(
    timing: Timing, server_clock: SteppedClock
) -> None:
    timing.start_beat()
    # 2027-03-28 02:00 does not come in Berlin: at 01:00 UTC the clock there goes from 02:00 to 03:00.
    change_ms = 1_806_195_600_000
    server_clock.step((change_ms - timing.server_ms()) / 1000 - 4)
    left_out = timing.invoke("i-1", frequency="0 30 2 * * *", timezone="Europe/Berlin", dst_gap="skip")
    run_after = timing.invoke("i-2", frequency="0 30 2 * * *", timezone="Europe/Berlin")
    rows = {one: timing.wait_for_firings(one, 1) for one in (left_out, run_after)}
    assert [(row.due_ms, row.status, row.reason) for row in rows[left_out]] == [(change_ms, "skipped", "dst_gap")]
    assert [(row.due_ms, row.status) for row in rows[run_after]] == [(change_ms, "fired")]
    due = eventually(lambda: timing.timed(run_after).due)
    # The next day 02:30 is there again, at summer time.
    assert due.utc_ms == change_ms + 23 * 3_600_000 + 1_800_000
