"""The answer that is kept for a ClientToken belongs to the access key that signed, whatever the key is called."""

import json
from pathlib import Path
from typing import Any

from integration.gateway.whole_gateway import WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.producer.security.access_keys import AccessKeys
from cloud_assistant.producer.security.scopes import Scope
from harness.redis_server import RedisServer


def create_command(gateway: WholeGateway, key: tuple[str, str], name: str = "disk") -> tuple[int, Any]:
    """Create a command under the one token of these tests; answers status and body."""
    key_id, secret = key
    asked = {"Name": name, "Type": "RunShellScript", "CommandContent": "ZGY=", "ClientToken": "token-1"}
    parameters = {"RegionId": "local", "Format": "JSON", **asked}
    status, body = gateway.post(v1_query("CreateCommand", parameters, secret=secret, AccessKeyId=key_id))
    return status, json.loads(body)


def test_keys_of_one_name_have_tokens_of_their_own(redis_server: RedisServer, tmp_path: Path) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        keys = AccessKeys(gateway.assistant.redis, gateway.assistant.trust.master)
        one, other = keys.create("team", "admin"), keys.create("team", "admin")
        first, foreign, again = (create_command(gateway, key) for key in (one, other, one))
        assert (first[0], foreign[0], again[0]) == (200, 200, 200)
        assert foreign[1]["CommandId"] != first[1]["CommandId"]
        assert again[1]["CommandId"] == first[1]["CommandId"]
        # Nor does it learn that the token was used with something else: to this key it is new.
        assert create_command(gateway, keys.create("team", "admin"), "memory")[0] == 200


def test_a_key_keeps_its_answers_when_it_gets_another_name(redis_server: RedisServer, tmp_path: Path) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        keys = AccessKeys(gateway.assistant.redis, gateway.assistant.trust.master)
        key = keys.create("team", "admin")
        first = create_command(gateway, key)[1]["CommandId"]
        keys.update(key[0], name="another team")
        assert create_command(gateway, key)[1]["CommandId"] == first


def test_a_key_that_was_limited_since_does_not_get_its_first_answer_again(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        stored = AccessKeys(gateway.assistant.redis, gateway.assistant.trust.master)
        key = stored.create("team", "admin")
        gateway.assistant.add_instance("mi-1")

        def deregister() -> int:
            given = {"RegionId": "local", "InstanceId": "mi-1", "ClientToken": "token-1"}
            return gateway.post(v1_query("DeregisterManagedInstance", given, secret=key[1], AccessKeyId=key[0]))[0]

        assert [deregister(), deregister()] == [200, 200]
        stored.update(key[0], scope=Scope(instance_tags={"env": "test"}))
        assert deregister() == 403
