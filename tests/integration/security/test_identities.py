"""An instance's identity: given, replaced, taken back; what is left of it each time."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable, Refused
from cloud_assistant.broker_config.functions.executions import finish
from cloud_assistant.broker_config.ids import execution_id, new_id
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.security.master_key import master_key_path
from cloud_assistant.broker_config.security.signing import new_master_keys, parse_signature, write_master_keys
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.security.agent_rights import agent_user
from cloud_assistant.producer.security.credentials import Credentials
from cloud_assistant.producer.security.identities import decode_credentials, has_credentials, restore_users
from harness.at_once import at_once
from harness.eventually import eventually
from harness.redis_server import RedisServer

Connect = Callable[[str], Redis]


def opens(connect: Connect, redis_url: str) -> bool:
    try:
        return bool(connect(redis_url).call("PING") == b"PONG")
    except RedisRefused:
        return False


def test_credentials_are_a_private_settings_file_with_user_password_and_key(
    assistant: Assistant, connect: Connect, tmp_path: Path
) -> None:
    assistant.add_instance("i-one")
    issued = assistant.trust.issue_credentials("i-one")
    file = tmp_path / "i-one.toml"
    issued.credentials.write(file)

    assert file.stat().st_mode & 0o777 == 0o600
    read = tomllib.loads(file.read_text())
    assert read["instance_id"] == "i-one"
    assert read["redis_url"].startswith("redis://ca-agent-i-one:")
    key_id, _, key = read["security"]["instance_key"].partition(":")
    assert assistant.trust.master.instance_key("i-one", key_id).hex() == key
    assert connect(read["redis_url"]).call("PING") == b"PONG"
    assert issued.is_saved


def test_credentials_name_redis_as_agents_reach_it(assistant: Assistant) -> None:
    security = replace(assistant.settings.security, agent_redis_url="rediss://redis.example:6380/0?ca=%2Fetc%2Fca.crt")
    with Assistant(settings=replace(assistant.settings, security=security)) as behind:
        behind.add_instance("i-one")
        given = behind.trust.issue_credentials("i-one").credentials.redis_url
    assert re.fullmatch(r"rediss://ca-agent-i-one:[0-9a-f]{64}@redis\.example:6380/0\?ca=%2Fetc%2Fca\.crt", given)


def test_the_first_master_key_is_made_when_it_is_needed_and_only_where_there_is_none(
    assistant: Assistant, tmp_path: Path, redis_server: RedisServer
) -> None:
    assistant.add_instance("i-one")
    assistant.trust.issue_credentials("i-one")
    path = master_key_path(assistant.settings)
    assert path.stat().st_mode & 0o777 == 0o600

    path.unlink()
    with Assistant(settings=assistant.settings) as elsewhere, pytest.raises(Refused, match="copy that file here"):
        elsewhere.trust.issue_credentials("i-one")
    write_master_keys(path, new_master_keys())
    with Assistant(settings=assistant.settings) as impostor, pytest.raises(Refused, match="agents would refuse"):
        impostor.trust.issue_credentials("i-one")


def test_what_is_dispatched_is_signed_with_the_key_in_the_credentials(assistant: Assistant, redis: Redis) -> None:
    assistant.add_instance("i-one")
    credentials = assistant.trust.issue_credentials("i-one").credentials
    with Assistant(settings=assistant.settings) as producer:
        invoked = producer.run_command("true", Targets(instance_ids=["i-one"]))
    row = keys.execution("i-one", f"{invoked.invoke_id}.0@i-one")
    assert parse_signature(redis.call("HGET", row, "mac")).key_id == credentials.key_id


def test_rotation_makes_the_old_credentials_worthless_at_once(assistant: Assistant, connect: Connect) -> None:
    assistant.add_instance("i-one")
    old = assistant.trust.issue_credentials("i-one").credentials
    agent = connect(old.redis_url)
    agent.call("PING")

    new = assistant.trust.issue_credentials("i-one").credentials

    with pytest.raises((RedisUnreachable, RedisRefused)):
        agent.call("PING")
    with pytest.raises(RedisRefused, match="WRONGPASS"):
        connect(old.redis_url).call("PING")
    assert connect(new.redis_url).call("PING") == b"PONG"
    assert new.key != old.key


def test_deregistering_cuts_connections_and_closes_what_was_open(
    assistant: Assistant, connect: Connect, redis: Redis
) -> None:
    assistant.add_instance("i-one")
    credentials = assistant.trust.issue_credentials("i-one").credentials
    agent = connect(credentials.redis_url)
    agent.call("PING")
    waits = assistant.run_command("true", Targets(instance_ids=["i-one"]))
    runs = assistant.run_command("true", Targets(instance_ids=["i-one"]))
    redis.call("HSET", keys.execution("i-one", f"{runs.invoke_id}.0@i-one"), "state", "Running")

    assistant.remove_instance("i-one")

    with pytest.raises((RedisUnreachable, RedisRefused)):
        agent.call("PING")
    assert redis.call("ACL", "GETUSER", agent_user("i-one")) is None
    assert not has_credentials(redis, "i-one")
    ended = [assistant.wait(one.invoke_id, timeout_seconds=5).results[0] for one in (waits, runs)]
    assert [(row.state, row.outcome.error_code) for row in ended] == [
        ("Aborted", "InstanceNotExists"),
        ("Error", "InstanceReleased"),
    ]
    assert redis.call("ZCARD", keys.open_executions("i-one")) == 0
    assert redis.call("ZCARD", keys.DEADLINES) == 0


def test_the_history_of_a_removed_instance_ends_but_not_that_of_the_next_one_of_its_name(
    assistant: Assistant, redis: Redis
) -> None:
    """Nothing else would lead to what an agent has reported of invocations that Redis had lost."""
    assistant.add_instance("i-one")
    lost = execution_id(new_id("t"), 0, "i-one")
    outcome = Outcome(state=ExecutionState.SUCCESS, finished_ms=1, exit_code=0, output=KeptStreams())
    finish(redis, "i-one", lost, outcome.state, outcome.fields(), live_output_ttl_ms=1, retention_ms=60_000)
    history = keys.instance_history("i-one")
    assert redis.call("PTTL", history) == -1

    assistant.remove_instance("i-one")
    days = assistant.settings.limits.history_days
    assert 0 <= days * 86_400_000 - redis.call("PTTL", history) < 60_000
    assistant.add_instance("i-one")
    assert redis.call("PTTL", history) == -1


def test_a_removed_instance_whose_user_is_not_ours_leaves_no_key_behind(assistant: Assistant, redis: Redis) -> None:
    assistant.add_instance("i-one")
    # As `assist up` enters it where it may not manage users.
    redis.call("HSET", keys.KEY_IDS, "i-one", assistant.trust.master.current)
    redis.call("ACL", "SETUSER", "small", "on", ">pw", "~*", "&*", "+@all", "-acl")
    with Assistant(redis.address.with_user("small", "pw"), settings=assistant.settings) as limited:
        limited.remove_instance("i-one")
    assert redis.call("HLEN", keys.KEY_IDS) == 0


def test_nothing_waits_for_who_is_registered_under_the_id_of_a_removed_instance(
    assistant: Assistant, redis: Redis
) -> None:
    assistant.add_instance("i-one", tags={"env": "test"})
    names = [name("i-one") for name in (keys.queue, keys.control, keys.boot_bound, keys.info, keys.quarantine)]
    for name in names:
        redis.call("HSET", name, "of", "the one before")
    assistant.remove_instance("i-one")
    assert redis.call("EXISTS", *names, keys.profile("i-one"), keys.tag("instance", "env", "test")) == 0


def test_an_id_that_is_registered_anew_gets_a_key_it_never_had(assistant: Assistant) -> None:
    seen = set()
    for _ in range(3):
        assistant.add_instance("i-one")
        seen.add(assistant.trust.issue_credentials("i-one").credentials.key)
        assistant.remove_instance("i-one")
    assert len(seen) == 3


def test_users_survive_a_restart_of_the_server(
    assistant: Assistant, connect: Connect, redis_server: RedisServer
) -> None:
    assistant.add_instance("i-one")
    credentials = assistant.trust.issue_credentials("i-one").credentials
    redis_server.restart()
    assert connect(credentials.redis_url).call("PING") == b"PONG"


def test_credentials_of_which_nothing_can_be_kept_are_not_given_out(assistant: Assistant, redis: Redis) -> None:
    assistant.add_instance("i-one")
    redis.call("SET", keys.CREDENTIALS, "in the way")
    with pytest.raises(RedisRefused, match=r"^WRONGTYPE"):
        assistant.trust.issue_credentials("i-one")


def test_a_removed_user_does_not_come_back_with_a_restart_of_the_server(
    assistant: Assistant, connect: Connect, redis_server: RedisServer
) -> None:
    assistant.add_instance("i-one")
    credentials = assistant.trust.issue_credentials("i-one").credentials
    assistant.remove_instance("i-one")
    redis_server.restart()
    with pytest.raises(RedisRefused, match="WRONGPASS"):
        connect(credentials.redis_url).call("PING")


def test_keys_that_were_on_their_way_are_gone_with_the_credentials_they_were_for(
    assistant: Assistant, redis: Redis
) -> None:
    assistant.add_instance("i-one")
    for take_away in (assistant.trust.issue_credentials, assistant.remove_instance):
        redis.call("SET", keys.key_bundle("i-one"), "sent by a rotation")
        take_away("i-one")
        assert redis.call("EXISTS", keys.key_bundle("i-one")) == 0


def test_users_that_a_server_forgot_are_made_anew_with_their_passwords(
    assistant: Assistant, connect: Connect, redis: Redis
) -> None:
    assistant.add_instance("i-one")
    credentials = assistant.trust.issue_credentials("i-one").credentials
    redis.call("ACL", "DELUSER", agent_user("i-one"))
    assert redis.call("ACL", "GETUSER", agent_user("i-one")) is None

    restore_users(redis, ["i-one"])
    assert connect(credentials.redis_url).call("PING") == b"PONG"


def test_a_user_that_is_made_anew_is_what_it_was_and_no_more(assistant: Assistant, redis: Redis) -> None:
    assistant.add_instance("i-one")
    assistant.trust.issue_credentials("i-one")
    issued = redis.call("ACL", "GETUSER", agent_user("i-one"))
    redis.call("ACL", "SETUSER", agent_user("i-one"), ">another", "(~* +@all)")
    restore_users(redis, ["i-one"])
    assert redis.call("ACL", "GETUSER", agent_user("i-one")) == issued


def test_without_the_right_to_manage_users_the_refusal_says_what_to_do(
    assistant: Assistant, redis: Redis, redis_server: RedisServer
) -> None:
    assistant.add_instance("i-one")
    assistant.trust.issue_credentials("i-one")
    redis.call("ACL", "SETUSER", "small", "on", ">pw", "~*", "&*", "+@all", "-acl")
    settings = assistant.settings
    with Assistant(redis_server.url("small", "pw"), settings=settings) as limited:
        limited.add_instance("i-two")
        with pytest.raises(RedisRefused, match="user small may not manage users"):
            limited.trust.issue_credentials("i-two")


def test_an_instance_in_quarantine_gets_no_work_until_it_is_released(assistant: Assistant) -> None:
    assistant.add_instance("i-one")
    assistant.trust.quarantine("i-one", "found twice")
    assert assistant.describe_instances().items[0].quarantined == "found twice"
    refused = assistant.run_command("true", Targets(instance_ids=["i-one"]))
    row = assistant.wait(refused.invoke_id, timeout_seconds=5).results[0]
    assert row.outcome.error_code == "InstanceQuarantined"

    assert assistant.trust.release("i-one")
    taken = assistant.run_command("true", Targets(instance_ids=["i-one"]))
    eventually(
        lambda: assistant.redis.call("LLEN", keys.queue("i-one")) == 1, 5, f"{taken.invoke_id} waits for the agent"
    )


def test_of_credentials_that_are_made_at_the_same_moment_one_whole_set_is_good(
    assistant: Assistant, redis: Redis, connect: Connect
) -> None:
    assistant.add_instance("i-one")
    for _ in range(15):
        made = at_once(*[lambda: assistant.trust.issue_credentials("i-one").credentials] * 3)
        good = [one for one in made if isinstance(one, Credentials) and opens(connect, one.redis_url)]
        # What is signed for it from now on fits the key that stands beside the password that opens.
        assert [one.key_id.encode() for one in good] == [redis.call("HGET", keys.KEY_IDS, "i-one")]
        stored = decode_credentials(redis.call("HGET", keys.CREDENTIALS, "i-one"))
        passwords = dict(zip(*[iter(redis.call("ACL", "GETUSER", agent_user("i-one")))] * 2, strict=True))[b"passwords"]
        assert passwords == [stored.password_digest.encode()]


def test_what_is_removed_while_it_is_given_credentials_has_none_in_the_end(assistant: Assistant, redis: Redis) -> None:
    assistant.trust.master  # noqa: B018 - made once, before the first race
    for _ in range(20):
        assistant.add_instance("i-one")
        at_once(*[lambda: assistant.trust.issue_credentials("i-one")] * 3, lambda: assistant.remove_instance("i-one"))
        assert redis.call("ZSCORE", keys.INSTANCES, "i-one") is None
        assert redis.call("ACL", "GETUSER", agent_user("i-one")) is None
        assert redis.call("HGET", keys.KEY_IDS, "i-one") is None
        assert not has_credentials(redis, "i-one")
