"""What a heartbeat that never arrived was to tell is told by the next one."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.broker_config.redis_connection import Argument
from cloud_assistant.worker import inventory
from cloud_assistant.worker.executor import Facts
from cloud_assistant.worker.heartbeat import Heartbeat
from cloud_assistant.worker.identity import Identity
from cloud_assistant.worker.inventory import Inventory


def test_a_new_address_outlives_the_heartbeat_that_was_lost_with_the_old_one(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, Argument] = {"ip_address": "10.0.0.1"}
    identity = Identity(
        instance_id="i-one", epoch="e", boot_id="b", machine_id="m", started_ms=1, agent_version="0"
    )  # fmt: skip
    beats = Heartbeat(
        redis=redis,
        identity=identity,
        home=tmp_path,
        ttl_seconds=75,
        slots=1,
        facts=Facts(),
        load=dict,
        inventory=Inventory(redis.url, look_up=lambda _: dict(facts)),
    )
    monkeypatch.setattr(inventory, "_LOOK_SECONDS", 0.0)
    beats.first()
    beats.again()
    facts["ip_address"] = "10.0.0.2"
    beats.redis = Redis("redis://127.0.0.1:1/0")
    with pytest.raises(RedisUnreachable):
        beats.again()
    beats.redis = redis

    beats.again()

    assert redis.call("HGET", keys.info("i-one"), "ip_address") == b"10.0.0.2"
