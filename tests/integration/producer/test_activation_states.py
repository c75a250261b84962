"""What `assist activation` says of the use of a code is what the gateway would answer a machine."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.cli.program import run
from cloud_assistant.producer.fleet import activations
from harness.redis_server import RedisServer

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def assist(redis_server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    (tmp_path / "home").mkdir(mode=0o700)

    def run_it(*words: str) -> str:
        capsys.readouterr()
        assert run([*words, "--redis-url", redis_server.url(), "--home", str(tmp_path / "home")]) == 0
        said = capsys.readouterr()
        return said.out + said.err

    return run_it


def made(assist: Callable[..., str], *options: str) -> str:
    said = assist("activation", "create", "--output", "json", *options)
    return str(json.loads(said)["ActivationId"])


def states(assist: Callable[..., str]) -> dict[str, str]:
    listed = assist("activation", "list", "--output", "json")
    return {one["ActivationId"]: one["State"] for one in json.loads(listed[: listed.rindex("]") + 1])}


@pytest.mark.parametrize("hours", [5, -5])
def test_its_hours_are_judged_by_the_clock_of_redis(
    assist: Callable[..., str], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    activation_id = made(assist, "--hours", "2")
    true_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + hours * HOUR_NS)
    assert states(assist) == {activation_id: "open"}
    assert "State  " in assist("activation", "show", activation_id)
    assert " open" in assist("activation", "show", activation_id)


def test_one_that_somebody_has_changed_in_redis_is_told(
    assist: Callable[..., str], redis_server: RedisServer, tmp_path: Path
) -> None:
    changed_id, good_id = made(assist), made(assist)
    redis = Redis(redis_server.url())
    record = activations.load(redis, changed_id).activation
    longer = msgspec.structs.replace(record, hours=9_999)
    redis.call("HSET", keys.activation(changed_id), "record", msgspec.json.encode(longer))
    assert states(assist) == {changed_id: "changed", good_id: "open"}
    for told in (assist("activation", "list"), assist("activation", "show", changed_id)):
        assert f"changed in Redis since: {changed_id}; nobody can register with it" in told
    assert "changed" not in assist("activation", "show", good_id)
    # Who has no master key cannot know.
    key_file = tmp_path / "home" / "master-key.json"
    key_file.rename(tmp_path / "elsewhere")
    assert states(assist) == {changed_id: "open", good_id: "open"}
    (tmp_path / "elsewhere").rename(key_file)
    assist("activation", "disable", changed_id)
    assert states(assist)[changed_id] == "disabled"
    redis.close()
