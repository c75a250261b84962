"""What a heartbeat tells and learns, also where one before it never arrived or another agent has the instance."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.worker import heartbeat as heartbeat_module
from cloud_assistant.worker import inventory
from cloud_assistant.worker.executor import Facts
from cloud_assistant.worker.heartbeat import Heartbeat
from cloud_assistant.worker.identity import Identity
from cloud_assistant.worker.inventory import Inventory

ID = "i-one"
INFO = keys.info(ID)
NOBODY = "redis://127.0.0.1:1/0"


def beats_of(redis: Redis, home: Path, epoch: str = "e", inventory: Inventory | None = None) -> Heartbeat:
    identity = Identity(
        instance_id=ID, epoch=epoch, boot_id="b", machine_id="m", started_ms=1, agent_version="0"
    )  # fmt: skip
    return Heartbeat(
        redis=redis,
        identity=identity,
        home=home,
        ttl_seconds=75,
        slots=1,
        facts=Facts(),
        load=dict,
        inventory=inventory,
    )


def test_a_new_address_outlives_the_heartbeat_that_was_lost_with_the_old_one(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, Argument] = {"ip_address": "10.0.0.1"}
    beats = beats_of(redis, tmp_path, inventory=Inventory(redis.url, look_up=lambda _: dict(facts)))
    monkeypatch.setattr(inventory, "_LOOK_SECONDS", 0.0)
    beats.first()
    beats.again()
    facts["ip_address"] = "10.0.0.2"
    beats.redis = Redis(NOBODY)
    with pytest.raises(RedisUnreachable):
        beats.again()
    beats.redis = redis

    beats.again()

    assert redis.call("HGET", INFO, "ip_address") == b"10.0.0.2"


def test_an_agent_that_redis_kept_waiting_still_takes_over_from_the_run_before_it(redis: Redis, tmp_path: Path) -> None:
    beats_of(redis, tmp_path, "before").first()
    beats = beats_of(Redis(NOBODY), tmp_path, "after")
    for _ in range(20):
        with pytest.raises(RedisUnreachable):
            beats.first()
    beats.redis = redis

    beats.first()

    assert redis.call("HGET", INFO, "epoch") == b"after"


def test_an_agent_that_redis_has_forgotten_is_whole_and_registered_again_with_one_beat(
    redis: Redis, tmp_path: Path
) -> None:
    beats = beats_of(redis, tmp_path)
    beats.first()
    beats.again()
    redis.call("FLUSHALL")

    beats.again()

    assert redis.call("HGET", INFO, "boot_id") == b"b"
    assert redis.call("ZSCORE", keys.INSTANCES, ID) is not None


def test_what_does_not_change_is_told_once(redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    beats = beats_of(redis, tmp_path, inventory=Inventory(redis.url, look_up=lambda _: {"ip_address": "10.0.0.1"}))
    for _ in range(2):
        beats.first()
    redis.call("HDEL", INFO, "boot_id", "ip_address")

    beats.again()

    assert redis.call("HMGET", INFO, "boot_id", "ip_address") == [None, None]
    assert caplog.text == "", "it does not take itself for another agent"


def test_it_tells_how_far_its_clock_is_from_that_of_redis(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = beats_of(redis, tmp_path)
    monkeypatch.setattr(heartbeat_module, "now_ms", lambda: now_ms() + 3_600_000)
    beats.first()
    beats.again()
    assert abs(int(redis.call("HGET", INFO, "clock_offset_ms")) - 3_600_000) < 10_000


def test_one_agent_tells_of_another_once_and_its_goodbye_is_not_that_of_the_other(
    redis: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = beats_of(redis, tmp_path, "first")
    first.first()
    beats_of(redis, tmp_path, "second").first()

    for _ in range(2):
        first.again()
    first.last()

    assert caplog.text.count("another agent uses the id of this instance") == 1

    assert redis.call("HGET", INFO, "epoch") == b"second"
    assert redis.call("PTTL", INFO) > 10_000


def test_the_name_that_its_owner_gave_an_instance_stays(redis: Redis, tmp_path: Path) -> None:
    register_instance(redis, ID, {"name": "web"}, now_ms=1, must_be_new=True)
    assert beats_of(redis, tmp_path).first().name == "web"
    assert redis.call("HGET", keys.profile(ID), "name") == b"web"


def test_a_heartbeat_learns_name_and_account_of_its_instance(redis: Redis, tmp_path: Path) -> None:
    register_instance(redis, ID, {"name": "web", "account_id": "1234"}, now_ms=1, must_be_new=True)
    beats = beats_of(redis, tmp_path)
    beats.first()
    assert (beats.facts.name, beats.facts.account_id) == ("web", "1234")


def test_an_instance_that_cannot_be_registered_is_told(redis: Redis, tmp_path: Path) -> None:
    redis.call("SET", keys.INSTANCES, "of another type")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        beats_of(redis, tmp_path).first()
