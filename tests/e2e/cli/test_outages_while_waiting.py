"""Redis goes away while somebody waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.redis_server import RedisServer
from harness.system import System


@pytest.fixture
def own_system(redis_server: RedisServer, tmp_path: Path) -> Iterator[System]:
    """One agent on a server that this test may break."""
    programs = System(tmp_path / "system", redis_server.url(), {"CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true"})
    try:
        programs.start_agent("i-one")
        yield programs
    finally:
        programs.stop()


def test_a_wait_outlives_a_restart_of_redis(own_system: System, redis_server: RedisServer) -> None:
    script = "echo before; sleep 3; echo after"
    with own_system.assist_running("run", script, "--instance", "i-one") as program:
        program.wait_for_line("^before$", within_seconds=10)
        redis_server.kill()
        redis_server.start()
        assert program.wait(30) == 0
        lines = program.log().splitlines()
    assert lines[:2] == ["before", "after"]
    assert " i-one Success exit 0 in 3" in lines[2]


def test_a_wait_with_an_end_says_that_redis_stayed_away(own_system: System, redis_server: RedisServer) -> None:
    arguments = ("run", "echo before; sleep 30", "--instance", "i-one", "--wait-timeout", "3")
    with own_system.assist_running(*arguments) as program:
        program.wait_for_line("^before$", within_seconds=10)
        redis_server.stop()
        assert program.wait(15) == 3
        said = program.log()
    assert "assist: no Redis at redis://127.0.0.1:" in said
    redis_server.start()
