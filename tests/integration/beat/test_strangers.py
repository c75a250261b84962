"""What stands in an index of beat and no program of ours has put there is removed, and told, and holds up nothing."""

import pytest
from integration.beat.conftest import Timing

from cloud_assistant.broker_config import keys
from harness.eventually import eventually

INDEXES = (keys.TIMED_WAITING, keys.TIMED_DISPATCHING, keys.DEADLINES)


@pytest.mark.parametrize("stranger", [b"junk", b"\xff\xfe", "t-0123456789 ²".encode()])
@pytest.mark.parametrize("index", INDEXES)
def test_a_stranger_in_an_index_is_removed_and_told(timing: Timing, index: str, stranger: bytes) -> None:
    timing.redis.call("ZADD", index, 1, stranger)
    beat = timing.start_beat(CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.2")
    invoke_id = timing.invoke("i-1")
    eventually(lambda: timing.redis.call("ZSCORE", index, stranger) is None, what="the stranger is gone")
    timing.wait_for_firings(invoke_id, 1)
    said = f"removed from {index} what does not belong there: {stranger!r}"
    eventually(lambda: said in beat.log(), what="it is told")
    assert beat.log().count("what does not belong there") == 1


@pytest.mark.parametrize(("stranger", "score"), [(b"\xff\xfe", "1"), (b"junk", "-inf")])
def test_a_stranger_among_the_due_times_ends_no_beat(timing: Timing, stranger: bytes, score: str) -> None:
    timing.redis.call("ZADD", keys.TIMED_DUE, score, stranger)
    beat = timing.start_beat()
    timing.wait_for_firings(timing.invoke("i-1"), 1)
    assert timing.redis.call("ZSCORE", keys.TIMED_DUE, stranger) is None
    assert beat.log().count("what does not belong there") == 1
