"""A beat whose Redis takes nothing says so once, with what to do, and goes on where it was."""

import re

from integration.beat.conftest import Timing

from harness.eventually import eventually
from harness.redis_server import RedisServer

#: Far more than there are before a beat has looked twice.
_REFUSED_COUNT = 30


def test_a_full_redis_is_told_once_and_is_back_when_it_takes_decisions_again(
    timing: Timing, redis_server: RedisServer
) -> None:
    beat = timing.start_beat()
    invoke_id = timing.invoke()
    before = timing.wait_for_firings(invoke_id, 1)
    redis_server.cli("CONFIG", "SET", "maxmemory", "1")

    def refused() -> bool:
        found = re.search(r"errorstat_OOM:count=(\d+)", timing.redis.call("INFO", "errorstats").decode())
        return found is not None and int(found[1]) >= _REFUSED_COUNT

    eventually(refused, 40, "the beat to have been refused again and again")
    redis_server.cli("CONFIG", "SET", "maxmemory", "0")
    timing.wait_for_firings(invoke_id, len(before) + 2)
    beat.wait_for_line("Redis is back")
    told = [line for line in beat.log().splitlines() if "until Redis is back" in line]
    assert len(told) == 1, told
    assert "raise maxmemory" in told[0]
    assert beat.log().count("INFO Redis is back") == 1
