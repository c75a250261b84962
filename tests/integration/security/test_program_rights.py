"""The Redis users of the control side's own programs."""

from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.functions.function_library import load_library
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.metrics import Metrics
from cloud_assistant.producer.security.program_rights import ControlProgram, program_rules, program_user
from cloud_assistant.producer.security.redis_users import password_digest, put_user
from harness.redis_server import RedisServer


@pytest.fixture
def gateway(redis_server: RedisServer) -> Iterator[Redis]:
    """A connection with the gateway's own user."""
    administrator = Redis(redis_server.url())
    load_library(administrator)
    user = program_user(ControlProgram.GATEWAY)
    put_user(administrator, user, password_digest("pw"), program_rules(ControlProgram.GATEWAY, database=0))
    administrator.close()
    redis = Redis(redis_server.url(user=user, password="pw"))
    yield redis
    redis.close()


def test_the_gateway_may_measure_what_its_metrics_tell(gateway: Redis) -> None:
    text, _ = Metrics(gateway).rendered()
    assert b"cloud_assistant_redis_up 1.0" in text


@pytest.mark.parametrize(
    "command",
    [("CONFIG", "GET", "*"), ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",), ("EVAL", "return 1", "0"), ("SET", "x", "y")],
)
def test_the_gateway_may_neither_administer_nor_touch_other_data(gateway: Redis, command: tuple[str, ...]) -> None:
    with pytest.raises(RedisRefused) as caught:
        gateway.call(*command)
    assert caught.value.kind == "NOPERM"
