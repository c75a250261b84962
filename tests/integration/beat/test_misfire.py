"""Due times that passed while no beat ran."""

from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest
from integration.beat.conftest import Timing

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.timed.firing_rows import Firing
from harness.eventually import eventually

#: Due every ten seconds, so that no due time of now comes between.
EVERY_TEN_SECONDS = "*/10 * * * * *"


def missed(timing: Timing, away_seconds: int, *, frequency: str = EVERY_TEN_SECONDS, misfire: str = "") -> str:
    """A schedule that no beat looked at for so long, up to a due time that is missed too."""
    invoke_id = timing.invoke(frequency=frequency, misfire=misfire)
    due = timing.timed(invoke_id).due
    assert due is not None
    timing.set_back(invoke_id, due.utc_ms - away_seconds * 1000)
    return invoke_id


def wait_until_late(timing: Timing) -> None:
    """Wait for a moment at which the latest due time is missed and the next is not near."""
    eventually(lambda: 6_000 <= timing.server_ms() % 10_000 <= 7_500, 12)


def is_pending(timing: Timing, invoke_id: str, firing: Firing) -> bool:
    return timing.state(invoke_id, firing) == "Pending"


def caught_up(timing: Timing, invoke_id: str) -> list[Firing]:
    def decided() -> list[Firing] | None:
        due = timing.timed(invoke_id).due
        return timing.firings(invoke_id) if due and due.utc_ms > timing.server_ms() else None

    return eventually(decided, 10, "every due time is decided about")


def test_latest_runs_the_last_missed_one_and_leaves_a_row_for_each_other(timing: Timing) -> None:
    wait_until_late(timing)
    invoke_id = missed(timing, 60)
    timing.start_beat()
    rows = caught_up(timing, invoke_id)
    assert [row.status for row in rows] == ["skipped"] * 5 + ["fired"]
    assert {row.reason for row in rows[:5]} == {"misfire"}
    assert [row.due_ms - rows[0].due_ms for row in rows] == [0, 10_000, 20_000, 30_000, 40_000, 50_000]
    assert "late" in rows[-1].info


def test_skip_runs_none_of_them(timing: Timing) -> None:
    wait_until_late(timing)
    invoke_id = missed(timing, 30, misfire="skip")
    timing.start_beat()
    rows = caught_up(timing, invoke_id)
    assert [(row.status, row.reason) for row in rows] == [("skipped", "misfire")] * 3
    assert timing.timed(invoke_id).fired_count == 0


def test_all_runs_the_last_few_one_after_the_other(timing: Timing) -> None:
    wait_until_late(timing)
    invoke_id = missed(timing, 60, misfire="all")
    timing.start_beat(CLOUD_ASSISTANT_BEAT_MISFIRE_LIMIT_COUNT="3")
    rows = caught_up(timing, invoke_id)
    assert [row.status for row in rows] == ["skipped"] * 3 + ["fired"] * 3
    made_up = rows[3:]
    for number, row in enumerate(made_up):
        assert [timing.state(invoke_id, one) for one in made_up[number:]] == ["Pending"] + ["Scheduled"] * (2 - number)
        timing.claim(invoke_id, row)
        timing.finish(invoke_id, row)
        if number < 2:
            eventually(partial(is_pending, timing, invoke_id, made_up[number + 1]), 3)


def test_one_that_is_too_old_is_not_run(timing: Timing) -> None:
    wait_until_late(timing)
    invoke_id = missed(timing, 10)
    timing.start_beat(CLOUD_ASSISTANT_BEAT_MISFIRE_WITHIN_SECONDS="5")
    (row,) = caught_up(timing, invoke_id)
    assert (row.status, row.reason) == ("skipped", "misfire")


def test_after_the_end_time_what_was_missed_before_it_is_not_run(timing: Timing) -> None:
    wait_until_late(timing)
    invoke_id = missed(timing, 60)
    end_ms = timing.server_ms() - 20_000
    # No request may ask for an end in the past.
    schedule = msgspec.structs.replace(timing.timed(invoke_id).schedule, end_ms=end_ms)
    timing.redis.call("HSET", keys.timed(invoke_id), "schedule", msgspec.json.encode(schedule))
    timing.start_beat()
    eventually(lambda: timing.timed(invoke_id).status == "ended")
    rows = timing.firings(invoke_id)
    assert {(row.status, row.reason) for row in rows} == {("skipped", "ended")}
    assert all(row.due_ms <= end_ms for row in rows)


def test_a_long_absence_leaves_one_row_that_counts_what_it_covers(timing: Timing) -> None:
    days = 30
    invoke_id = missed(timing, days * 86_400, frequency="* * * * * *")
    timing.start_beat()
    rows = caught_up(timing, invoke_id)
    assert len(rows) < 10
    covered = sum(row.count for row in rows)
    assert rows[0].count > days * 86_400 - 10
    assert covered == (rows[-1].until_ms - rows[0].due_ms) // 1000 + 1
    assert timing.timed(invoke_id).skipped_count >= rows[0].count


@pytest.mark.parametrize("policy", ["latest", "all", "skip"])
def test_one_beat_that_comes_back_in_time_misses_nothing(timing: Timing, policy: str) -> None:
    invoke_id = missed(timing, 0, frequency="*/5 * * * * *", misfire=policy)
    eventually(lambda: 1_000 <= timing.server_ms() % 5_000 <= 3_000, 7)
    timing.start_beat()
    assert caught_up(timing, invoke_id)[0].status == "fired"


def test_a_beat_that_was_frozen_with_its_decision_in_hand_decides_anew(timing: Timing) -> None:
    due_ms = (timing.server_ms() // 1000 + 4) * 1000
    moment = datetime.fromtimestamp(due_ms / 1000, UTC)
    invoke_id = timing.invoke(frequency=f"at({moment:%Y-%m-%d %H:%M:%S})", misfire="skip")
    beat = timing.start_beat()
    # What comes due within a second is prepared.
    eventually(lambda: timing.server_ms() > due_ms - 700, every_seconds=0.01)
    beat.sigstop()
    assert timing.firings(invoke_id) == []
    eventually(lambda: timing.server_ms() > due_ms + 6_000)
    beat.sigcont()
    (row,) = timing.wait_for_firings(invoke_id, 1)
    assert (row.due_ms, row.status, row.reason) == (due_ms, "skipped", "misfire")
