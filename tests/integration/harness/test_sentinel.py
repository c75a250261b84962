from pathlib import Path

import pytest

from harness.sentinel import SentinelGroup


@pytest.mark.slow
def test_another_server_takes_over_when_the_master_is_killed_and_has_its_data(tmp_path: Path) -> None:
    with SentinelGroup(tmp_path, password="secret") as group:
        first = group.current_master()
        first.cli("SET", "key", "value")
        assert first.cli("WAIT", 1, 5000) == 1
        assert group.url().startswith("sentinel://:secret@127.0.0.1:")
        assert group.kill_master() is first
        second = group.wait_for_failover(first)
        assert second is not first
        assert second.cli("GET", "key") == "value"
        assert second.cli("SET", "key", "new") is True
