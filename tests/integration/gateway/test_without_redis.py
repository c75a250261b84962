"""The gateway while Redis is away, and after."""

from pathlib import Path

import pytest
from integration.gateway.whole_gateway import KEY_ID, SECRET, whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config import keys
from harness.eventually import eventually
from harness.redis_server import RedisServer


def test_it_says_so_and_comes_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, whole_gateway(server.url(), tmp_path) as gateway:
        assert gateway.get("/healthz")[0] == 200
        server.stop()
        assert gateway.get("/healthz") == (503, b'{"healthy": false}\n')
        status, answer = gateway.call("DescribeCommands")
        assert (status, answer["Code"]) == (503, "ServiceUnavailable")
        status, metrics = gateway.get("/metrics")
        assert status == 200
        assert b"cloud_assistant_redis_up 0.0" in metrics
        server.start()
        eventually(lambda: gateway.get("/healthz")[0] == 200, within_seconds=10)
        assert gateway.call("DescribeCommands")[0] == 200


def test_a_request_is_accepted_once_by_all_gateways(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "redis") as server,
        whole_gateway(server.url(), tmp_path) as first,
        whole_gateway(server.url(), tmp_path) as second,
    ):
        form = v1_query("DescribeRegions", {}, secret=SECRET, AccessKeyId=KEY_ID)
        assert first.post(form)[0] == 200
        status, body = second.post(form)
        assert (status, b"SignatureNonceUsed" in body) == (400, True)


@pytest.mark.parametrize(
    ("setting", "on", "off", "remedy"),
    [
        ("maxmemory", "1", "0", "raise maxmemory"),
        ("min-replicas-to-write", "1", "0", "lower min-replicas-to-write"),
        ("replicaof", "127.0.0.1 1", "no one", "name the master"),
    ],
)
def test_a_server_that_takes_nothing_is_not_healthy_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, setting: str, on: str, off: str, remedy: str
) -> None:
    def set_to(value: str) -> None:
        words = ("REPLICAOF", *value.split()) if setting == "replicaof" else ("CONFIG", "SET", setting, value)
        server.cli(*words)

    with RedisServer(tmp_path / "redis") as server, whole_gateway(server.url(), tmp_path) as gateway:
        set_to(on)
        assert gateway.get("/healthz") == (503, b'{"healthy": false}\n')
        status, answer = gateway.call("DescribeCommands")
        assert (status, answer["Code"]) == (503, "ServiceUnavailable")
        assert "log says why" in answer["Message"]
        told = [one.getMessage() for one in caplog.records if remedy in one.getMessage()]
        assert any("action=DescribeCommands" in one for one in told), told
        assert any("not healthy" in one for one in told), told
        set_to(off)
        assert gateway.get("/healthz") == (200, b'{"healthy": true}\n')
        assert server.cli("EXISTS", keys.NEVER_THERE) == 0
