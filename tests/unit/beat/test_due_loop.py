"""What one beat keeps in memory, however much is due."""

from typing import Any

from cloud_assistant.beat.decisions import Skip
from cloud_assistant.beat.due_loop import DueLoop
from cloud_assistant.beat.preparing import Prepared
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.schedule import DueTime

KEPT_COUNT = 2_000


def test_a_beat_that_never_has_time_to_plan_ahead_keeps_a_bounded_number_of_plans() -> None:
    unused: Any = None
    loop = DueLoop(Redis("redis://127.0.0.1:1/0"), unused, unused, unused)
    for number in range(2 * KEPT_COUNT):
        decided = Prepared(unused, number, number, Skip([], DueTime(number), ""), ("PING",), None)
        loop._note_reply(decided, [b"skipped"])
    assert [due.utc_ms for _, due in loop._to_plan] == list(range(KEPT_COUNT, 2 * KEPT_COUNT))
