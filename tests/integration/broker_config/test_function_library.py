"""Programs of different releases share one Redis: whose functions are in it, and who is served."""

from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.functions.executions import NotClaimed, claim_command, claim_reply
from cloud_assistant.broker_config.functions.function_library import (
    TEXT_VERSION,
    library_source,
    load_library,
    run,
)
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.redis.client import Redis
from harness.redis_server import RedisServer


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    connected = Redis(redis_server.url())
    yield connected
    connected.close()


def put(redis: Redis, version: int, oldest: int = 1) -> None:
    """Put the text of another release into Redis."""
    redis.call("FUNCTION", "LOAD", "REPLACE", library_source(version, oldest))


def version_there(redis: Redis) -> int:
    found: int = redis.call("FCALL", "ca_text_version", 0)
    return found


def register(redis: Redis) -> None:
    register_instance(redis, "i-1", {"name": "one"}, now_ms=now_ms(), must_be_new=True)


def test_a_newer_text_serves_us_and_is_left_alone(redis: Redis) -> None:
    put(redis, TEXT_VERSION + 1)
    register(redis)
    load_library(redis)
    assert version_there(redis) == TEXT_VERSION + 1


def test_an_older_text_is_replaced_before_anything_is_done_with_it(redis: Redis) -> None:
    put(redis, TEXT_VERSION - 1, TEXT_VERSION - 1)
    register(redis)
    assert version_there(redis) == TEXT_VERSION


def test_another_text_of_our_version_is_replaced_when_a_program_starts(redis: Redis) -> None:
    redis.call("FUNCTION", "LOAD", library_source().replace("'ca_claim'", "'ca_other'"))
    load_library(redis)
    assert b"ca_other" not in redis.call("FUNCTION", "DUMP")


def test_a_newer_text_that_serves_us_no_more_is_not_replaced(redis: Redis) -> None:
    put(redis, TEXT_VERSION + 1, TEXT_VERSION + 1)
    with pytest.raises(RedisRefused, match="upgrade this program") as refused:
        register(redis)
    assert refused.value.kind == "NEWFUNCTIONS"
    assert version_there(redis) == TEXT_VERSION + 1
    assert redis.call("EXISTS", keys.INSTANCES) == 0


def test_gateways_that_know_no_seals_still_take_uses_of_activations(redis: Redis) -> None:
    load_library(redis)
    touched = [keys.activation("ID"), keys.activation_machines("ID")]
    redis.call("HSET", touched[0], "record", "{}")
    in_an_hour = now_ms() + 3_600_000

    def take(machine: str, proof: str) -> list[bytes | int]:
        arguments: list[str | int] = [machine, proof, f"mi-{machine}", 2, in_an_hour, 0]
        taken: list[bytes | int] = redis.call("FCALL", "ca_take_activation_4", 2, *touched, *arguments)
        return taken

    assert take("a", "proof") == [b"taken", b"mi-a", 1]
    assert take("a", "proof") == [b"again", b"mi-a", 1]
    assert take("a", "other") == [b"known", b"", 0]
    assert take("b", "proof") == [b"taken", b"mi-b", 2]
    assert take("c", "proof") == [b"used_up", b"", 0]


def test_who_may_not_load_functions_says_who_has_to(redis: Redis, redis_server: RedisServer) -> None:
    put(redis, TEXT_VERSION - 1, TEXT_VERSION - 1)
    redis.call("ACL", "SETUSER", "agent", "on", ">secret", "~*", "+fcall", "+hmget")
    limited = Redis(redis_server.url("agent", "secret"))
    claim = claim_command("i-1", "t-1.0@i-1", epoch="e", boot_id="b", report_margin_ms=1)
    with pytest.raises(RedisRefused, match="start assist-beat or assist-gateway of this release") as refused:
        run(limited, claim)
    assert refused.value.kind == "OLDFUNCTIONS"
    load_library(redis)
    assert claim_reply(run(limited, claim)) == NotClaimed("", "unknown")
    limited.close()
