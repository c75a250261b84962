"""A container often runs as a number that has no name: the command line works there all the same."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.producer.auditing import local_user
from cloud_assistant.producer.cli.program import run
from harness.redis_server import RedisServer


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The system knows no name of this user, and the environment says none."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    local_user.cache_clear()
    yield str(os.getuid())
    local_user.cache_clear()


def test_calls_that_name_the_user_name_his_number(
    redis_server: RedisServer, tmp_path: Path, nameless: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    shared = ["--redis-url", redis_server.url(), "--home", str(tmp_path / "home")]
    assert run(["ecs", "DescribeRegions", *shared]) == 0
    assert run(["access-key", "create", *shared]) == 0
    capsys.readouterr()
    assert run(["access-key", "list", "--output", "json", *shared]) == 0
    assert f'"Name": "{nameless}"' in capsys.readouterr().out
