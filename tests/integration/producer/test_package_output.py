"""What `assist package` prints for programs is one document, also where machines of several kinds are meant."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.releases.publisher_signing import Statement, parse, sign
from cloud_assistant.producer import Assistant, InvocationFilter
from cloud_assistant.producer.cli.program import run
from cloud_assistant.producer.file_store.catalogue import Catalogue
from harness.redis_server import RedisServer


@pytest.fixture
def shared(redis_server: RedisServer, tmp_path: Path) -> list[str]:
    """Two machines of different processors, and a package for each; the options that lead there."""
    key = Ed25519PrivateKey.generate()
    with Assistant(redis_server.url()) as assistant:
        for instance_id, arch in (("i-one", "x86_64"), ("i-two", "aarch64")):
            assistant.add_instance(instance_id)
            assistant.redis.call("HSET", keys.info(instance_id), "os_type", "linux", "arch", arch)
            statement = Statement(name="tools", version="1", os="linux", arch=arch, sha256="0" * 64, size=1)
            Catalogue(assistant.redis).add(parse(sign(key, statement)))
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return ["--redis-url", redis_server.url(), "--home", str(home), "--output", "json"]


def test_several_kinds_of_machines_are_one_list(shared: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["package", "install", "tools", "--all", "--no-wait", *shared]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len({one["InvokeId"] for one in answers}) == 2
    assert run(["package", "install", "tools", "--instance", "i-one", "--no-wait", *shared]) == 0
    assert "InvokeId" in json.loads(capsys.readouterr().out)


def test_what_was_not_waited_for_to_the_end_is_one_list_too(
    shared: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["package", "install", "tools", "--all", "--wait-timeout", "0.1", *shared]) == 6
    assert [one["InvocationStatus"] for one in json.loads(capsys.readouterr().out)] == ["Pending"]


def test_less_than_a_second_is_no_time_for_a_package(shared: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["package", "install", "tools", "--all", "--timeout", "0.5", *shared]) == 2
    assert "at least one second" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["install", "update", "uninstall", "check"])
def test_a_machine_that_is_offline_can_be_given_longer_to_come_back(
    shared: list[str], capsys: pytest.CaptureFixture[str], action: str
) -> None:
    words = ["package", action, "tools", "--instance", "i-one", "--deliver-within", "7d", "--no-wait"]
    assert run([*words, *shared]) == 0
    invoke_id = json.loads(capsys.readouterr().out)["InvokeId"]
    with Assistant(shared[1]) as assistant:
        [found] = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id)).items
    assert found.stored.record.deliver_within_seconds == 7 * 86_400
