"""An activation's code is in the answer that made it, again for the same client token, and nowhere in Redis."""

import hmac
import json
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.sealing import unseal
from cloud_assistant.producer.gateway.actions.action import Call
from cloud_assistant.producer.gateway.actions.idempotency import once_per_token
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.security.access_keys import AccessKeys
from cloud_assistant.producer.security.caller import AccessKey
from harness.redis_server import RedisServer
from harness.system import System


def test_a_repeated_request_gets_the_code_and_redis_has_it_not(redis_server: RedisServer, tmp_path: Path) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        asked = {"InstanceCount": "1", "ClientToken": "token-1"}
        status, first = gateway.call("CreateActivation", asked)
        again = gateway.call("CreateActivation", asked)[1]
        assert status == 200
        assert (again["ActivationId"], again["ActivationCode"]) == (first["ActivationId"], first["ActivationCode"])
        redis = gateway.assistant.redis
        code = first["ActivationCode"].encode()
        assert not any(code in redis.call("DUMP", name) for name in redis.call("KEYS", "*"))
        tokens = redis.call("KEYS", "ca:token:CreateActivation:*")
        assert [code in redis.call("GET", name) for name in tokens] == [False]


def test_another_key_of_the_same_name_does_not_get_it(redis_server: RedisServer, tmp_path: Path) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        keys = AccessKeys(gateway.assistant.redis, gateway.assistant.trust.master)
        answers = []
        for _ in range(2):
            key_id, secret = keys.create("team", "admin")
            given = {"RegionId": "local", "InstanceCount": "1", "ClientToken": "token-1", "Format": "JSON"}
            answers.append(gateway.post(v1_query("CreateActivation", given, secret=secret, AccessKeyId=key_id)))
        assert [status for status, _ in answers] == [200, 200]
        first, other = (json.loads(body) for _, body in answers)
        assert other["ActivationId"] != first["ActivationId"]
        assert other["ActivationCode"] != first["ActivationCode"]


def test_a_key_whose_secret_was_replaced_does_not_get_it(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())

    def ask(secret: str) -> object:
        caller = AccessKey("of-the-settings", secret, active=True, principal="configuration")
        call = Call("CreateActivation", Parameters({"ClientToken": "token-1"}), caller, "id")
        return once_per_token(redis, call, lambda: {"ActivationCode": "geheim"}, is_secret=True)

    assert ask("old") == ask("old") == {"ActivationCode": "geheim"}
    with pytest.raises(Refused, match="another secret") as refused:
        ask("new")
    assert refused.value.code == "IdempotentParameterMismatch"
    redis.close()


def test_who_reads_redis_and_knows_the_token_of_a_command_line_does_not_get_it(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    system = System.on(redis_server, tmp_path / "system")
    system.assist("instance", "add", "i-one", "--credentials", tmp_path / "i-one.toml").must_succeed()
    words = ("ecs", "CreateActivation", "--InstanceCount", "1", "--ClientToken", "token-1")
    first, again = (system.assist(*words).must_succeed().json for _ in range(2))
    assert again["ActivationCode"] == first["ActivationCode"]
    redis = Redis(redis_server.url())
    [name] = redis.call("KEYS", "ca:token:CreateActivation:*")
    sealed = json.loads(redis.call("GET", name))["answer"]["sealed"]
    redis.close()
    made_of_the_token = hmac.digest(b"", b"answer to token-1", "sha256")
    with pytest.raises(Refused):
        unseal(made_of_the_token, sealed.encode(), b"CreateActivation")
