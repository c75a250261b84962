"""The memory of used nonces that all gateways share."""

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.gateway.access.used_nonces import UsedNonces
from harness.redis_server import RedisServer


def test_a_nonce_is_used_up_for_the_key_that_used_it_and_for_every_gateway(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    one, another = UsedNonces(redis), UsedNonces(redis)
    assert one.remember("key-a", "1", 60)
    assert not another.remember("key-a", "1", 60)
    assert another.remember("key-b", "1", 60)
    # Where one ends and the other begins is told apart.
    assert one.remember("key-a1", "", 60)
    names = redis.call("KEYS", "ca:nonce:*")
    assert len(names) == 3
    assert all(0 < redis.call("TTL", name) <= 60 for name in names)
    redis.close()
