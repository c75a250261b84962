"""A hundred thousand schedules in Redis: a beat starts at once, takes no more memory, and is not late."""

import pytest
from integration.beat.bulk import store
from integration.beat.conftest import Timing

from cloud_assistant.broker_config import keys
from harness.eventually import eventually

STORED_COUNT = 100_000
INSTANCES = [f"i-bulk{number}" for number in range(100)]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_hundred_thousand_schedules_cost_a_beat_neither_time_nor_memory_at_its_start(timing: Timing) -> None:
    alone = timing.start_beat("beat-alone")
    few = timing.invoke(overlap="allow")
    timing.wait_for_firings(few, 2)
    rss_with_few = alone.rss_bytes
    alone.stop()
    timing.assistant.stop_invocation(few)

    far = "0 0 0 1 1 *"
    store(timing.redis, far, STORED_COUNT - 1_000, now_ms=timing.server_ms(), instance_ids=INSTANCES)
    soon = store(timing.redis, "*/5 * * * * *", 1_000, now_ms=timing.server_ms() + 5_000, instance_ids=INSTANCES)
    assert timing.redis.call("ZCARD", keys.TIMED_DUE) == STORED_COUNT
    beat = timing.start_beat("beat-many")
    first_due = timing.timed(soon[0]).due
    assert first_due is not None
    eventually(lambda: timing.redis.call("EXISTS", keys.firing(soon[-1], first_due.utc_ms)), 20)
    replies = timing.redis.pipeline_or_raise([("HGET", keys.firing(one, first_due.utc_ms), "status") for one in soon])
    assert set(replies) == {b"fired"}
    assert beat.rss_bytes - rss_with_few < 16 * 1024 * 1024, "what a beat keeps grows with the schedules stored"
