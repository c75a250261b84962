"""Access keys: sealed in Redis, on and off, and what each role may do."""

import itertools
import threading
from collections.abc import Iterator

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import CloudAssistantError, Refused, RequestInvalid
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import new_master_keys
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.gateway.access.authorization import RoleAuthorization
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.security.access_keys import AccessKeys
from cloud_assistant.producer.security.caller import AccessKey
from cloud_assistant.producer.security.roles import OPERATORS_ACTIONS, permits
from cloud_assistant.producer.security.scopes import Scope
from harness.files import contents_below
from harness.redis_server import RedisServer

MASTER = new_master_keys()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    made = Redis(redis_server.url())
    yield made
    made.close()


@pytest.fixture
def stored(redis: Redis) -> AccessKeys:
    return AccessKeys(redis, MASTER)


def test_a_key_is_found_with_its_secret_and_role(stored: AccessKeys) -> None:
    access_key_id, secret = stored.create("ci", "viewer")
    found = stored.find(access_key_id)
    assert found == AccessKey(access_key_id, secret, active=True, principal="ci", role="viewer")
    assert stored.find("CANOBODY") is None


@pytest.mark.parametrize("name", ["", "  ", "ops\x1b[31m", "x" * 129], ids=["empty", "blank", "colour", "long"])
def test_a_name_that_tells_nobody_whose_the_key_is_is_refused(stored: AccessKeys, name: str) -> None:
    with pytest.raises(RequestInvalid, match="name"):
        stored.create(name)
    access_key_id, _ = stored.create("运维 ops")
    with pytest.raises(RequestInvalid, match="name"):
        stored.update(access_key_id, name=name)
    assert [one.name for one in stored.list()] == ["运维 ops"]


def test_redis_holds_no_secret_in_clear(redis: Redis, stored: AccessKeys, redis_server: RedisServer) -> None:
    _, secret = stored.create("ci")
    [value] = redis.call("HVALS", keys.ACCESS_KEYS)
    assert secret.encode() not in value
    redis.call("SAVE")
    dumps = [held for _, held in contents_below(redis_server.folder)]
    assert dumps
    assert not any(secret.encode() in dump for dump in dumps)


def test_a_sealed_secret_cannot_be_moved_to_another_id_nor_read_with_another_master_key(
    redis: Redis, stored: AccessKeys
) -> None:
    victim, _ = stored.create("victim")
    thief, _ = stored.create("thief", "viewer")
    value = redis.call("HGET", keys.ACCESS_KEYS, victim)
    redis.call("HSET", keys.ACCESS_KEYS, thief, value.replace(victim.encode(), thief.encode()))
    with pytest.raises(CloudAssistantError, match="not sealed by this installation"):
        stored.find(thief)
    with pytest.raises(CloudAssistantError, match="not sealed by this installation"):
        AccessKeys(redis, new_master_keys()).find(victim)


def test_a_whole_record_under_another_id_opens_nothing_and_changes_nobody(redis: Redis, stored: AccessKeys) -> None:
    mine, _ = stored.create("me")
    other, _ = stored.create("other", "viewer")
    # Otherwise what I sign would be entered in the audit as the other's, and disabling that key would disable mine.
    redis.call("HSET", keys.ACCESS_KEYS, other, redis.call("HGET", keys.ACCESS_KEYS, mine))
    with pytest.raises(Refused, match=f"its record is the one of {mine}"):
        stored.find(other)
    with pytest.raises(Refused, match=f"its record is the one of {mine}"):
        stored.set_active(other, active=False)
    assert stored.find(mine).active  # type: ignore[union-attr]


def test_what_is_no_record_is_told(redis: Redis, stored: AccessKeys) -> None:
    redis.call("HSET", keys.ACCESS_KEYS, "CAX", "{")
    with pytest.raises(Refused, match="make the key anew"):
        stored.find("CAX")
    mine, _ = stored.create("ci")
    assert [one.access_key_id for one in stored.list()] == [mine]
    assert ["access key CAX cannot be read" in str(one) for one in stored.unreadable()] == [True]


def test_a_list_does_not_show_what_somebody_has_made_of_a_key_but_tells_of_it(redis: Redis, stored: AccessKeys) -> None:
    mine, other, forged = (stored.create(name, "viewer")[0] for name in ("me", "other", "forged"))
    record = msgspec.json.decode(redis.call("HGET", keys.ACCESS_KEYS, forged))
    redis.call("HSET", keys.ACCESS_KEYS, forged, msgspec.json.encode({**record, "role": "admin", "name": "me"}))
    redis.call("HSET", keys.ACCESS_KEYS, other, redis.call("HGET", keys.ACCESS_KEYS, mine))
    assert [(one.access_key_id, one.name, one.role) for one in stored.list()] == [(mine, "me", "viewer")]
    said = sorted(str(one) for one in stored.unreadable())
    assert [any(name in one for one in said) for name in (forged, other)] == [True, True]
    assert len(said) == 2


def test_a_rotated_master_key_still_opens_what_the_old_one_sealed(redis: Redis, stored: AccessKeys) -> None:
    access_key_id, secret = stored.create("ci")
    found = AccessKeys(redis, new_master_keys(MASTER)).find(access_key_id)
    assert found is not None
    assert found.secret == secret


def test_a_key_is_switched_off_and_on_and_deleted(stored: AccessKeys) -> None:
    access_key_id, _ = stored.create("ci")
    stored.set_active(access_key_id, active=False)
    assert not stored.find(access_key_id).active  # type: ignore[union-attr]
    stored.set_active(access_key_id, active=True)
    assert stored.find(access_key_id).active  # type: ignore[union-attr]
    stored.delete(access_key_id)
    assert stored.find(access_key_id) is None
    assert stored.list() == []
    with pytest.raises(CloudAssistantError, match="no access key"):
        stored.delete(access_key_id)
    with pytest.raises(CloudAssistantError, match="no access key"):
        stored.set_active(access_key_id, active=True)


@pytest.mark.parametrize(("name", "role"), [("", "admin"), ("x", "root")])
def test_a_key_needs_a_name_and_a_known_role(stored: AccessKeys, name: str, role: str) -> None:
    with pytest.raises(CloudAssistantError):
        stored.create(name, role)


def test_a_viewers_key_reads_and_is_refused_every_changing_action(redis_server: RedisServer) -> None:
    with Assistant(redis_server.url()) as assistant:
        actions = list(action_registry(assistant))
    viewer = AccessKey("CA", "s", active=True, principal="v", role="viewer")
    for action in actions:
        if action.startswith(("Describe", "List")):
            RoleAuthorization().require(viewer, action)
        else:
            with pytest.raises(ApiError) as caught:
                RoleAuthorization().require(viewer, action)
            assert caught.value.code == "Forbidden.RAM"
            assert "viewer" in caught.value.message


def test_every_action_of_an_operator_exists_and_the_fleet_is_the_admins(redis_server: RedisServer) -> None:
    with Assistant(redis_server.url()) as assistant:
        actions = set(action_registry(assistant))
    assert actions >= OPERATORS_ACTIONS
    admins = {action for action in actions if not permits("operator", action)}
    assert {"DeregisterManagedInstance", "ModifyCloudAssistantSettings"} <= admins
    assert all(permits("admin", action) for action in actions)
    assert not any(permits("nobody", action) for action in actions)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "admin"},
        {"active": True},
        {"name": "somebody else"},
        {"created_ms": 1},
        {"sealed_by": "k9"},
        {"sealed": ""},
        {"sealed": "no base64"},
    ],
    ids=str,
)
def test_whoever_writes_to_redis_cannot_change_what_a_key_may_do(
    stored: AccessKeys, redis: Redis, change: dict[str, object]
) -> None:
    access_key_id, _ = stored.create("reader", "viewer")
    stored.set_active(access_key_id, active=False)
    record = msgspec.json.decode(redis.call("HGET", keys.ACCESS_KEYS, access_key_id))
    redis.call("HSET", keys.ACCESS_KEYS, access_key_id, msgspec.json.encode({**record, **change}))
    with pytest.raises(Refused) as refused:
        stored.find(access_key_id)
    assert refused.value.code == "AccessKeyUnreadable"


@pytest.mark.parametrize("scope", [None, {}, {"actions": ["*"]}, {"user_names": ["deploy", "root"]}], ids=repr)
def test_whoever_writes_to_redis_cannot_change_what_a_key_is_limited_to(
    stored: AccessKeys, redis: Redis, scope: dict[str, object] | None
) -> None:
    access_key_id, _ = stored.create("deploy", "operator", Scope(user_names=("deploy",)))
    record = msgspec.json.decode(redis.call("HGET", keys.ACCESS_KEYS, access_key_id))
    assert record.pop("scope") == {"user_names": ["deploy"]}
    changed = record if scope is None else {**record, "scope": scope}
    redis.call("HSET", keys.ACCESS_KEYS, access_key_id, msgspec.json.encode(changed))
    with pytest.raises(Refused) as refused:
        stored.find(access_key_id)
    assert refused.value.code == "AccessKeyUnreadable"


def test_a_key_switched_off_and_on_again_keeps_its_secret(stored: AccessKeys) -> None:
    access_key_id, secret = stored.create("reader", "viewer")
    for active in (False, True):
        stored.set_active(access_key_id, active=active)
        found = stored.find(access_key_id)
        assert found is not None
        assert (found.secret, found.active, found.role) == (secret, active, "viewer")


def test_a_key_that_is_switched_off_while_it_is_renamed_stays_off(redis: Redis, stored: AccessKeys) -> None:
    access_key_id, secret = stored.create("ci")
    is_over = threading.Event()

    def rename() -> None:
        for number in itertools.count():
            stored.update(access_key_id, name=f"ci-{number}")
            if is_over.is_set():
                return

    renaming = threading.Thread(target=rename)
    renaming.start()
    try:
        for _ in range(50):
            stored.set_active(access_key_id, active=True)
            stored.set_active(access_key_id, active=False)
            found = stored.find(access_key_id)
            assert found is not None
            assert not found.active
    finally:
        is_over.set()
        renaming.join()
    found = stored.find(access_key_id)
    assert found is not None
    assert (found.active, found.secret) == (False, secret)
    assert found.principal.startswith("ci-")
