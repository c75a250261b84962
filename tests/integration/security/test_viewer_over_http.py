"""A viewer's key over HTTP: every action that changes something is refused, and changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.security.access_keys import AccessKeys
from harness.redis_server import RedisServer

MASTER = new_master_keys()
#: Redis keys that every request writes: used nonces, rates, the audit of refusals.
OWN_TRACES = (b"ca:nonce:", b"ca:rate:", b"ca:audit")


def changing_actions() -> list[str]:
    """All actions of the gateway that are not reading ones, taken from its own table."""
    with Assistant("redis://127.0.0.1:1/0") as nowhere:
        return sorted(one for one in action_registry(nowhere) if not one.startswith(("Describe", "List")))


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    home = tmp_path / "home"
    write_master_keys(home / "master-key.json", MASTER)
    with whole_gateway(redis_server.url(), home) as running:
        running.assistant.add_instance("i-one")
        yield running


def everything(redis: Redis) -> dict[bytes, bytes]:
    found = [name for name in redis.call("KEYS", "*") if not name.startswith(OWN_TRACES)]
    return {name: redis.call("DUMP", name) for name in found}


def as_viewer(gateway: WholeGateway, action: str, **parameters: str) -> tuple[int, str]:
    stored = AccessKeys(gateway.assistant.redis, MASTER)
    known = [one for one in stored.list() if one.role == "viewer"]
    access_key_id = known[0].access_key_id if known else stored.create("v", "viewer")[0]
    found = stored.find(access_key_id)
    assert found is not None
    form = v1_query(action, {"RegionId": "local", **parameters}, secret=found.secret, AccessKeyId=access_key_id)
    status, body = gateway.post(form)
    return status, json.loads(body).get("Code", "")


def test_the_table_is_not_empty() -> None:
    assert len(changing_actions()) > 15
    assert {"RunCommand", "SendFile", "DeleteCommand", "CreateActivation"} <= set(changing_actions())


@pytest.mark.parametrize("action", changing_actions())
def test_a_viewer_is_refused(gateway: WholeGateway, action: str) -> None:
    assert as_viewer(gateway, "DescribeInvocations")[0] == 200
    made = gateway.assistant.create_command(name="n", type="RunShellScript", content="true")
    before = everything(gateway.assistant.redis)
    status, code = as_viewer(
        gateway,
        action,
        CommandId=made,
        Name="n",
        Type="RunShellScript",
        CommandContent="dHJ1ZQ==",
        Content="x",
        TargetDir="/tmp",
        **{"InstanceId.1": "i-one", "ResourceId.1": "i-one", "ResourceType": "instance", "Tag.1.Key": "k"},
    )
    assert status == 403
    assert code.startswith("Forbidden") or "Forbidden" in code or "NoPermission" in code
    assert everything(gateway.assistant.redis) == before


def test_an_unknown_role_may_do_nothing_not_even_look(gateway: WholeGateway) -> None:
    """The role is sealed; should a later release know another one, an older gateway must not guess."""
    stored = AccessKeys(gateway.assistant.redis, MASTER)
    access_key_id, secret = stored.create("x", "viewer")
    redis = gateway.assistant.redis
    value = redis.call("HGET", "ca:access-keys", access_key_id)
    redis.call("HSET", "ca:access-keys", access_key_id, value.replace(b"viewer", b"admin"))
    form = v1_query("DescribeInvocations", {"RegionId": "local"}, secret=secret, AccessKeyId=access_key_id)
    assert gateway.post(form)[0] in (403, 404, 500, 503)
